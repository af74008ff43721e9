package registration

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gosrc.io/xmpp/stanza"

	"transportd/component"
)

// UserState is a user as administrators see them.
type UserState struct {
	User    component.JID // bare
	Clients int           // resources in rooms
	Rooms   int
	Links   []LinkState
}

// LinkState is a user's link to a network.
type LinkState struct {
	Network string // for people
	Online  bool
	Text    string
}

// Admin is what administrators may do with sessions.
type Admin interface {
	// Users returns the users who have a session.
	Users(ctx context.Context) ([]UserState, error)
	// Disconnect ends all links of a user until the next login, join or restart.
	Disconnect(ctx context.Context, user component.JID, reason string) error
	// Announce sends a message to every user who is online, and tells how many
	// that were.
	Announce(ctx context.Context, text string) (int, error)
}

// nsAdmin begins the nodes of service administration (XEP-0133).
const nsAdmin = "http://jabber.org/protocol/admin"

// Names of the fields of administration forms, from XEP-0133 where it has them.
const (
	fieldUser     = "accountjid"
	fieldReason   = "reason"
	fieldText     = "announcement"
	fieldFilter   = "filter"
	maxShownUsers = 200 // more would not fit a stanza
)

// addAdmin adds the commands for administrators.
func (s *Service) addAdmin(c *component.Commands) {
	host := []component.AddressKind{component.AddressHost}
	c.Add(
		component.Command{
			Node: nsAdmin + "#get-online-users-list", Verb: "users", Name: "Administration: list users",
			Help: "lists users with their links and rooms; with a text, those whose address has it.",
			Args: []string{fieldFilter}, Targets: host, Allowed: s.cfg.IsAdmin,
			Run: s.askFilter,
		},
		component.Command{
			Node: nsAdmin + "#end-user-session", Verb: "disconnect", Name: "Administration: disconnect a user",
			Help: "ends all links of a user. Accounts are kept.",
			Args: []string{fieldUser, fieldReason}, Targets: host, Allowed: s.cfg.IsAdmin,
			Run: s.askUser("Disconnect a user", true, s.disconnectUser),
		},
		component.Command{
			Node: nsAdmin + "#delete-user", Verb: "delete", Name: "Administration: delete a user",
			Help: "disconnects a user and removes everything that is stored of them.",
			Args: []string{fieldUser}, Targets: host, Allowed: s.cfg.IsAdmin,
			Run: s.askUser("Delete a user", false, s.deleteUser),
		},
		component.Command{
			Node: nsAdmin + "#announce", Verb: "announce", Name: "Administration: announce to all users",
			Help: "sends a message to every user who is online.",
			Args: []string{fieldText}, Targets: host, Allowed: s.cfg.IsAdmin,
			Run: s.askAnnouncement,
		},
	)
}

// administered guards a step: rights may have gone since the command began.
func (s *Service) administered(next component.StepFunc) component.StepFunc {
	return func(ctx context.Context, call *component.Call) (*component.Step, error) {
		if !s.cfg.IsAdmin(call.From.Bare()) {
			return nil, component.NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "You may not use this command.")
		}
		return next(ctx, call)
	}
}

func (s *Service) askFilter(context.Context, *component.Call) (*component.Step, error) {
	return &component.Step{
		Form: component.NewForm("List users", nil, component.FormField{
			Var: fieldFilter, Type: component.FieldTextSingle, Label: "Part of the address", Advanced: true,
		}),
		Last: true,
		Next: s.administered(s.listUsers),
	}, nil
}

func (s *Service) listUsers(ctx context.Context, call *component.Call) (*component.Step, error) {
	users, err := s.cfg.Admin.Users(ctx)
	if err != nil {
		return nil, err
	}
	filter := strings.ToLower(call.Values.Get(fieldFilter))
	users = slices.DeleteFunc(slices.Clone(users), func(u UserState) bool {
		return !strings.Contains(u.User.String(), filter)
	})
	slices.SortFunc(users, func(a, b UserState) int { return strings.Compare(a.User.String(), b.User.String()) })
	note := count(len(users), "user") + "."
	if len(users) > maxShownUsers {
		note += fmt.Sprintf(" These are the first %d; give a part of the address to see others.", maxShownUsers)
		users = users[:maxShownUsers]
	}
	form := &component.Form{Type: component.FormResult, Title: "Users", Reported: []component.FormField{
		{Var: "jid", Type: component.FieldJIDSingle, Label: "User"},
		{Var: "clients", Type: component.FieldTextSingle, Label: "Clients"},
		{Var: "rooms", Type: component.FieldTextSingle, Label: "Rooms"},
		{Var: "links", Type: component.FieldTextMulti, Label: "Links"},
	}}
	for _, u := range users {
		form.Items = append(form.Items, userRow(u))
	}
	return &component.Step{Form: form, Note: note}, nil
}

func userRow(u UserState) []component.FormField {
	links := make([]string, 0, len(u.Links))
	for _, l := range u.Links {
		state := l.Text
		if state == "" && l.Online {
			state = "online"
		}
		links = append(links, l.Network+": "+state)
	}
	return []component.FormField{
		{Var: "jid", Values: []string{u.User.String()}},
		{Var: "clients", Values: []string{count(u.Clients, "client")}},
		{Var: "rooms", Values: []string{count(u.Rooms, "room")}},
		{Var: "links", Values: links},
	}
}

// count says how many of a thing there are.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// askUser asks for a user, and a reason where that is of use.
func (s *Service) askUser(title string, reason bool, then component.StepFunc) component.StepFunc {
	return func(context.Context, *component.Call) (*component.Step, error) {
		form := component.NewForm(title, nil, component.FormField{
			Var: fieldUser, Type: component.FieldJIDSingle, Label: "User", Required: true,
		})
		if reason {
			form.Fields = append(form.Fields, component.FormField{
				Var: fieldReason, Type: component.FieldTextSingle, Label: "Reason", Advanced: true,
			})
		} else {
			form.Fields = append(form.Fields, component.FormField{
				Var: fieldConfirm, Type: component.FieldBoolean, Label: "Delete everything of this user", Required: true,
			})
		}
		return &component.Step{Form: form, Last: true, Next: s.administered(then)}, nil
	}
}

// named is the user a form names, as a bare JID. The form has checked it.
func named(call *component.Call) component.JID {
	user, err := component.ParseJID(call.Values.Get(fieldUser))
	if err != nil {
		return component.JID{}
	}
	return user.Bare()
}

// hasSession reports whether a user has a session at present.
func (s *Service) hasSession(ctx context.Context, user component.JID) (bool, error) {
	users, err := s.cfg.Admin.Users(ctx)
	return slices.ContainsFunc(users, func(u UserState) bool { return u.User == user }), err
}

// known reports whether a user has a session or anything stored.
func (s *Service) known(ctx context.Context, user component.JID) (bool, error) {
	accounts, err := s.cfg.Accounts.Accounts(ctx, user)
	if err != nil || len(accounts) > 0 {
		return true, err
	}
	subscriptions, err := s.cfg.Accounts.Subscriptions(ctx, user)
	if err != nil || len(subscriptions) > 0 {
		return true, err
	}
	return s.hasSession(ctx, user)
}

func (s *Service) disconnectUser(ctx context.Context, call *component.Call) (*component.Step, error) {
	user := named(call)
	reason := call.Values.Get(fieldReason)
	if reason == "" {
		reason = "Disconnected by an administrator."
	}
	present, err := s.hasSession(ctx, user)
	if err != nil {
		return nil, err
	}
	if !present {
		return component.Done(user.String() + " is not connected."), nil
	}
	if err := s.cfg.Admin.Disconnect(ctx, user, reason); err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	s.log.Info("user disconnected", "user", user.String(), "by", call.From.Bare().String())
	return component.Done(user.String() + " was disconnected."), nil
}

func (s *Service) deleteUser(ctx context.Context, call *component.Call) (*component.Step, error) {
	if !call.Values.Bool(fieldConfirm) {
		return component.Done("Nothing was deleted."), nil
	}
	user := named(call)
	known, err := s.known(ctx, user)
	if err != nil {
		return nil, err
	}
	if !known {
		return component.Done("Nothing is known of " + user.String() + "."), nil
	}
	gone, err := s.remove(ctx, user, "")
	if err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	s.depart(ctx, user, gone)
	s.log.Info("user deleted", "user", user.String(), "by", call.From.Bare().String())
	return component.Done(user.String() + " was deleted."), nil
}

func (s *Service) askAnnouncement(context.Context, *component.Call) (*component.Step, error) {
	return &component.Step{
		Form: component.NewForm("Announce to all users", nil, component.FormField{
			Var: fieldText, Type: component.FieldTextMulti, Label: "Announcement", Required: true,
		}),
		Last: true,
		Next: s.administered(s.announce),
	}, nil
}

func (s *Service) announce(ctx context.Context, call *component.Call) (*component.Step, error) {
	told, err := s.cfg.Admin.Announce(ctx, call.Values.Text(fieldText))
	if err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	s.log.Info("announcement sent", "by", call.From.Bare().String(), "users", told)
	if told == 1 {
		return component.Done("1 user was told."), nil
	}
	return component.Done(count(told, "user") + " were told."), nil
}
