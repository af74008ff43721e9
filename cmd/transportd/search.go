package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
	"transportd/session"
)

const (
	maxFound   = 50               // what one search shows
	searchTime = 20 * time.Second // what the networks may take, below the time-outs of clients
)

// Fields of a search. Plain searches know only the nick, which then stands for
// either.
const (
	searchWords = "words"
	searchNick  = "nick"
)

const searchPlainText = "Enter the nick of a person, or words of a room's name or subject."

// handleSearch serves searches (XEP-0055) at the gateway and its networks, and
// the command that does the same. It is called before component.HandleCommands.
func (g *gateway) handleSearch(services component.Services) {
	for _, kind := range serviceKinds {
		services.Disco.AddFeature(kind, xep.NSSearch)
		services.Disco.AddFeature(kind, xep.NSRSM)
		services.Router.Handle(kind, component.KindIQ, "get", xep.NSSearch, "query", func(req *component.Stanza) {
			if !g.allowed(req.From.Bare()) {
				services.Reply(component.ErrorReply(req, notAllowed()))
				return
			}
			o := component.Result(req)
			xep.Search{Instructions: searchPlainText, Fields: []xep.SearchField{{Name: "nick"}}, Form: g.searchForm()}.AppendTo(o)
			services.Reply(o)
		})
		services.Router.Handle(kind, component.KindIQ, "set", xep.NSSearch, "query", g.queueSearch)
	}
	g.commands.Add(component.Command{
		Node: "search", Verb: "search", Name: "Search",
		Help:    "finds rooms by words of their name or subject, and people by their nick, on the networks you are connected to.",
		Args:    []string{searchWords},
		Targets: serviceKinds, Allowed: g.allowed,
		Run: func(context.Context, *component.Call) (*component.Step, error) {
			return &component.Step{Form: g.searchForm(), Last: true, Next: g.searchStep}, nil
		},
	})
}

func notAllowed() *component.StanzaError {
	return component.NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "You are not allowed to use this gateway.")
}

func (g *gateway) searchForm() *component.Form {
	return component.NewForm("Search "+g.title(), []string{"The networks you are connected to are searched."},
		component.TypeField(xep.NSSearch),
		component.FormField{Var: searchWords, Type: component.FieldTextSingle, Label: "Words of a room's name or subject"},
		component.FormField{Var: searchNick, Type: component.FieldTextSingle, Label: "Nick of a person", Advanced: true},
	)
}

// queueSearch has a worker answer a search.
func (g *gateway) queueSearch(req *component.Stanza) {
	if !g.allowed(req.From.Bare()) {
		g.stream.TrySend(component.ErrorReply(req, notAllowed()))
		return
	}
	taken := g.workers.Go(req.From, "", func(ctx context.Context) {
		o, err := g.answerSearch(ctx, req)
		if err != nil {
			o = component.ErrorReply(req, session.StanzaError(err))
		}
		if err := g.stream.Send(ctx, o); err != nil {
			g.log.Debug("a search was not answered", "error", err)
		}
	})
	if !taken {
		g.stream.TrySend(component.ErrorReply(req, session.StanzaError(bridges.NewError(bridges.RateLimited, ""))))
	}
}

// answerSearch answers with plain fields or a form, as it was asked.
func (g *gateway) answerSearch(ctx context.Context, req *component.Stanza) (*component.Out, error) {
	asked, err := xep.ParseSearch(req.Element)
	if err != nil {
		return nil, err
	}
	q := eitherQuery(asked.Value("nick"))
	if asked.Form != nil {
		q = session.Query{Words: asked.Form.Value(searchWords), Nick: asked.Form.Value(searchNick)}
	}
	set, paged, err := component.ParseResultSet(req.Payload())
	if err != nil {
		return nil, err
	}
	found, err := g.search(ctx, req.From, req.To, q)
	if err != nil {
		return nil, err
	}
	var page func(*component.Out)
	var note string
	if paged {
		found, page, err = pageOf(found, set)
	} else {
		found, note = firstOf(found)
	}
	if err != nil {
		return nil, err
	}
	answer := xep.Search{Instructions: note, Page: page}
	if asked.Form != nil {
		answer = xep.Search{Form: foundForm(found, note), Page: page}
	} else {
		for _, f := range found {
			answer.Items = append(answer.Items, xep.SearchItem{JID: f.JID, Fields: []xep.SearchField{
				{Name: "first", Value: f.Text}, {Name: "last"}, {Name: "nick", Value: f.Name}, {Name: "email"},
			}})
		}
	}
	o := component.Result(req)
	answer.AppendTo(o)
	return o, nil
}

// firstOf is what a search shows that asks for no page. The note says what was left
// out.
func firstOf(found []session.Found) ([]session.Found, string) {
	if len(found) <= maxFound {
		return found, ""
	}
	return found[:maxFound], fmt.Sprintf("These are %d of %d that were found; more words find fewer.", maxFound, len(found))
}

// pageOf is the page of what was found that is asked for (XEP-0059, XEP-0055 section
// 4), of maxFound at most, and what tells where it stands.
func pageOf(found []session.Found, set component.ResultSet) ([]session.Found, func(*component.Out), error) {
	if set.Max < 0 || set.Max > maxFound {
		set.Max = maxFound
	}
	start, end, problem := set.Window(len(found), func(id string) int {
		return slices.IndexFunc(found, func(f session.Found) bool { return f.JID.String() == id })
	})
	if problem != nil {
		return nil, nil, problem
	}
	count, page := len(found), found[start:end]
	return page, func(o *component.Out) {
		first, last := "", ""
		if len(page) > 0 {
			first, last = page[0].JID.String(), page[len(page)-1].JID.String()
		}
		component.AppendPage(o, first, last, start, count)
	}, nil
}

// eitherQuery is a query of one field: words of rooms, and one word may be a nick.
func eitherQuery(text string) session.Query {
	q := session.Query{Words: text}
	if len(strings.Fields(text)) == 1 {
		q.Nick = text
	}
	return q
}

// searchStep is the command's: in the chat only the words are asked for.
func (g *gateway) searchStep(ctx context.Context, call *component.Call) (*component.Step, error) {
	q := session.Query{Words: call.Values.Get(searchWords), Nick: call.Values.Get(searchNick)}
	if call.Chat {
		q = eitherQuery(q.Words)
	}
	found, err := g.search(ctx, call.From, call.To, q)
	found, note := firstOf(found)
	switch {
	case err != nil:
		return nil, session.StanzaError(err)
	case len(found) == 0:
		return component.Done("Nothing was found."), nil
	}
	step := &component.Step{Form: foundForm(found, ""), Note: note}
	if note != "" {
		step.NoteType = component.NoteWarn
	}
	return step, nil
}

// search asks the networks an address stands for.
func (g *gateway) search(ctx context.Context, from, to component.JID, q session.Query) ([]session.Found, error) {
	if strings.TrimSpace(q.Words+q.Nick) == "" {
		return nil, component.NewStanzaError(stanza.ErrorTypeModify, "bad-request", "Say what to search for.")
	}
	network := g.driver.Info().FixedNetwork
	if to.Local != "" {
		addr, err := g.driver.Parse(component.UnescapeLocal(to.Local))
		if err != nil {
			return nil, err
		}
		network = addr.Network
	}
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	return g.sessions.Search(ctx, from.Bare(), network, q)
}

// foundForm is a table of what was found.
func foundForm(found []session.Found, note string) *component.Form {
	form := &component.Form{Type: component.FormResult, Title: "What was found", Fields: []component.FormField{component.TypeField(xep.NSSearch)}}
	if note != "" {
		form.Instructions = []string{note}
	}
	column := func(name string, kind component.FieldType, label string) component.FormField {
		return component.FormField{Var: name, Type: kind, Label: label}
	}
	form.Reported = []component.FormField{
		column("jid", component.FieldJIDSingle, "Address"), column("name", component.FieldTextSingle, "Name"),
		column("text", component.FieldTextSingle, "About"), column("members", component.FieldTextSingle, "Members"),
	}
	for _, f := range found {
		members := ""
		if f.Room {
			members = strconv.Itoa(f.Members)
		}
		var row []component.FormField
		for i, value := range []string{f.JID.String(), f.Name, f.Text, members} {
			row = append(row, component.FormField{Var: form.Reported[i].Var, Values: []string{value}})
		}
		form.Items = append(form.Items, row)
	}
	return form
}
