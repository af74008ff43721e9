package matrix

import (
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// maxAnswers bounds the answers of a poll (MSC3381).
const maxAnswers = 20

// poll is a question with answers to choose from (client-server API, "Polls"; MSC3381
// before it).
type poll struct {
	Question string
	Answers  []pollAnswer
	Most     int  // how many may be chosen
	Stable   bool // it was written in the form of the specification
}

type pollAnswer struct{ ID, Text string }

// readPoll reads the start of a poll.
func readPoll(o object) content {
	c := content{What: contentMessage}
	relates := o.obj("m.relates_to")
	c.relate(relates)
	if edit := o.obj("m.new_content"); relates.str("rel_type") == "m.replace" && len(edit) > 0 {
		c.Replaces, o = eventID(relates), edit
	}
	p := &poll{Stable: true}
	start := o.obj("m.poll")
	if start == nil {
		start, p.Stable = o.obj("org.matrix.msc3381.poll.start"), false
	}
	p.Question = oneLine(extensibleText(start.obj("question")))
	p.Most = max(1, int(start.count("max_selections", maxAnswers)))
	for _, raw := range start.list("answers") {
		a := readObject(raw)
		answer := pollAnswer{ID: a.str("m.id"), Text: oneLine(extensibleText(a))}
		if answer.ID == "" {
			answer.ID = a.str("id")
		}
		if answer.ID != "" && answer.Text != "" && len(p.Answers) < maxAnswers {
			p.Answers = append(p.Answers, answer)
		}
	}
	if p.Question == "" || len(p.Answers) == 0 {
		c.Body = cutBytes(extensibleText(o), maxBody)
		return c
	}
	c.Poll, c.Body = p, p.text()
	return c
}

// text is the poll in words.
func (p *poll) text() string {
	var b strings.Builder
	b.WriteString("Poll: " + p.Question)
	for i, a := range p.Answers {
		b.WriteString("\n" + strconv.Itoa(i+1) + ". " + a.Text)
	}
	if p.Most > 1 {
		b.WriteString("\n(Up to " + strconv.Itoa(p.Most) + " answers.)")
	}
	return b.String()
}

// choose reads numbers of answers as somebody writes them, "2" or "1, 3". It reports
// whether that is all the text says.
func (p *poll) choose(text string) (ids []string, ok bool) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	if len(fields) == 0 || len(fields) > p.Most {
		return nil, false
	}
	for _, f := range fields {
		n, err := strconv.Atoi(strings.TrimSuffix(f, "."))
		if err != nil || n < 1 || n > len(p.Answers) {
			return nil, false
		}
		ids = append(ids, p.Answers[n-1].ID)
	}
	return ids, true
}

// vote is the type and the content of an event that chooses answers of a poll.
func (p *poll) vote(target id.EventID, ids []string) (kind string, content map[string]any) {
	content = map[string]any{"m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": target}}
	if p.Stable {
		content["m.selections"] = ids
		return "m.poll.response", content
	}
	content["org.matrix.msc3381.poll.response"] = map[string]any{"answers": ids}
	return "org.matrix.msc3381.poll.response", content
}

// readVote reads what somebody chose. Choosing nothing takes a vote back.
func readVote(o object) content {
	relates := o.obj("m.relates_to")
	if relates.str("rel_type") != "m.reference" || eventID(relates) == "" {
		return content{}
	}
	c := content{What: contentVote, Target: eventID(relates), Choices: o.strs("m.selections")}
	if !o.has("m.selections") {
		c.Choices = o.obj("org.matrix.msc3381.poll.response").strs("answers")
	}
	c.Choices = c.Choices[:min(len(c.Choices), maxAnswers)]
	return c
}

// readPollEnd reads the end of a poll.
func readPollEnd(o object) content {
	c := content{What: contentMessage, Kind: bridges.Notice, Body: "The poll has ended."}
	relates := o.obj("m.relates_to")
	if relates.str("rel_type") == "m.reference" {
		c.Ends = eventID(relates)
	}
	if text := oneLine(extensibleText(o)); text != "" {
		c.Body = cutBytes(text, maxBody)
	}
	return c
}

// oneLine is text as a line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
