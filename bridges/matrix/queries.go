package matrix

import (
	"context"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// asking is the client for a question, or why there is none.
func (n *network) asking() (*mautrix.Client, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online {
		return nil, errOffline()
	}
	return n.cli, nil
}

// ask makes the requests of one question.
func (n *network) ask(ctx context.Context, f func(ctx context.Context, cli *mautrix.Client) error) error {
	cli, err := n.asking()
	if err != nil {
		return err
	}
	return asError(n.d.request(ctx, func(ctx context.Context) error { return f(ctx, cli) }))
}

// Bounds of the directory that is read.
const (
	directoryPage  = 200
	directoryPages = 10
)

// Rooms implements bridges.Directory: the public rooms of the user's homeserver.
func (n *network) Rooms(ctx context.Context) ([]bridges.DirectoryEntry, error) {
	var out []bridges.DirectoryEntry
	since := ""
	for range directoryPages {
		var resp *mautrix.RespPublicRooms
		if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
			resp, err = cli.PublicRooms(ctx, &mautrix.ReqPublicRooms{Limit: directoryPage, Since: since})
			return err
		}); err != nil {
			return nil, err
		}
		for _, r := range resp.Chunk {
			if r == nil {
				continue
			}
			if e, ok := publicEntry(r); ok {
				e.Group = r.RoomType == spaceType || n.Capabilities(bridges.Place{Room: bridges.RoomID(r.RoomID)}).Group
				out = append(out, e)
			}
		}
		if since = resp.NextBatch; since == "" {
			break
		}
	}
	slices.SortFunc(out, func(a, b bridges.DirectoryEntry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Profile implements bridges.Profiler.
func (n *network) Profile(ctx context.Context, user bridges.UserID) (bridges.Profile, error) {
	who := id.UserID(user)
	var resp *mautrix.RespUserProfile
	if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
		resp, err = cli.GetProfile(ctx, who)
		return err
	}); err != nil {
		return bridges.Profile{}, err
	}
	_, _, server := splitID(string(who))
	return bridges.Profile{
		Nick: person(who, resp.DisplayName).Nick, RealName: cleanNick(resp.DisplayName), Account: string(who), Server: server, Address: string(who),
		Text: "Matrix ID: " + string(who), Avatar: string(resp.AvatarURL.CUString()),
	}, nil
}

// FindPeople implements bridges.PeopleFinder: in the directory of the homeserver, which
// knows those who are on it or in rooms with somebody there. Who is named in full is
// found wherever they are.
func (n *network) FindPeople(ctx context.Context, words string, limit int) ([]bridges.Profile, error) {
	var out []bridges.Profile
	if clean, err := checkID(words); err == nil && clean[0] == '@' {
		p, err := n.Profile(ctx, bridges.UserID(clean))
		if e := bridges.AsError(err); e != nil && e.Kind != bridges.NotFound {
			return nil, err
		} else if e == nil {
			out = append(out, p)
		}
	}
	var resp *mautrix.RespSearchUserDirectory
	if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
		resp, err = cli.SearchUserDirectory(ctx, words, limit)
		return err
	}); err != nil {
		return out, err
	}
	for _, entry := range resp.Results {
		if entry == nil || len(out) >= limit {
			continue
		}
		clean, err := checkID(string(entry.UserID))
		if err != nil || clean[0] != '@' || slices.ContainsFunc(out, func(p bridges.Profile) bool { return p.Account == clean }) {
			continue
		}
		name := entry.DisplayName
		if name == "" { // the directory has another name for it than profiles
			name, _ = entry.Extra["display_name"].(string)
		}
		out = append(out, bridges.Profile{
			Nick: person(id.UserID(clean), name).Nick, RealName: cleanNick(name), Account: clean, Address: clean,
			Avatar: string(entry.AvatarURL.CUString()),
		})
	}
	return out, nil
}

// List implements bridges.Lister.
func (n *network) List(ctx context.Context, room bridges.RoomID, a bridges.Affiliation) ([]bridges.ListEntry, error) {
	if a == bridges.AffiliationOutcast {
		return n.banned(ctx, room)
	}
	if _, err := n.asking(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(room)]
	if r == nil || !r.open {
		return nil, bridges.NewError(bridges.NotJoined, "You are not in this room.")
	}
	var out []bridges.ListEntry
	users := map[id.UserID]bool{}
	for user := range r.people {
		users[user] = true
	}
	for user := range r.powers().users {
		users[user] = true
	}
	for user := range users {
		membership := "leave"
		if r.people[user] != nil {
			membership = "join"
		}
		if _, has := r.powers().standing(user, membership, r.public()); has == a {
			out = append(out, bridges.ListEntry{Mask: string(user), Address: string(user)})
		}
	}
	slices.SortFunc(out, func(a, b bridges.ListEntry) int { return strings.Compare(a.Mask, b.Mask) })
	return out, nil
}

// banned are those who must not enter a room.
func (n *network) banned(ctx context.Context, room bridges.RoomID) ([]bridges.ListEntry, error) {
	var members []*event.Event
	if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
		members, err = getMembers(ctx, cli, id.RoomID(room), event.MembershipBan, "")
		return err
	}); err != nil {
		return nil, err
	}
	var out []bridges.ListEntry
	for _, ev := range members {
		o := readObject(ev.Content.VeryRaw)
		if o.str("membership") == "ban" && ev.StateKey != nil {
			out = append(out, bridges.ListEntry{Mask: *ev.StateKey, Address: *ev.StateKey, By: string(ev.Sender), Reason: cutBytes(oneLine(o.str("reason")), maxTitle)})
		}
	}
	slices.SortFunc(out, func(a, b bridges.ListEntry) int { return strings.Compare(a.Mask, b.Mask) })
	return out, nil
}

// maxPages bounds what is asked for one question about history: a homeserver may go round
// in circles.
const maxPages = 20

// History implements bridges.Historian.
func (n *network) History(ctx context.Context, at bridges.Place, before bridges.MessageID, limit int) ([]*bridges.Message, bool, error) {
	r := n.existing(at)
	if r == nil {
		return nil, false, bridges.NewError(bridges.NotJoined, "You are not in this room.")
	}
	var events []*event.Event // newest first
	n.mu.Lock()
	from, more := n.since, true
	n.mu.Unlock()
	if before != "" {
		var around *mautrix.RespContext
		if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
			around, err = cli.Context(ctx, r.id, id.EventID(before), lazily, 1)
			return err
		}); err != nil {
			return nil, false, err
		}
		n.learn(r, there(around.State))
		events, from = there(around.EventsBefore), around.Start
	}
	// Some homeservers begin again with what they have just told.
	told := map[id.EventID]bool{id.EventID(before): true}
	fresh := func(page []*event.Event) []*event.Event {
		return slices.DeleteFunc(there(page), func(ev *event.Event) bool {
			known := told[ev.ID]
			told[ev.ID] = true
			return known
		})
	}
	events = fresh(events)
	for pages := 0; len(events) < limit && more && pages < maxPages; pages++ {
		var resp *mautrix.RespMessages
		if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
			resp, err = getMessages(ctx, cli, r.id, from, "", lazily, min(limit-len(events), gapLines))
			return err
		}); err != nil {
			return nil, false, err
		}
		n.learn(r, resp.State)
		events = append(events, fresh(resp.Chunk)...)
		more = resp.End != "" && resp.End != from && len(resp.Chunk) > 0
		from = resp.End
	}
	slices.Reverse(events)
	t := turn{n: n, quick: true, changes: map[string][]byte{}}
	for user, f := range n.askAbout(ctx, r, n.strangers(r, events, nil), false) {
		n.mu.Lock()
		r.meet(user, f.profile)
		n.mu.Unlock()
	}
	return t.messages(ctx, r, events), more, nil
}
