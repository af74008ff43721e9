package irc

import (
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// What a Network of this driver can do beside the contract's minimum.
var (
	_ bridges.Driver         = (*Driver)(nil)
	_ bridges.Network        = (*network)(nil)
	_ bridges.SubjectSetter  = (*network)(nil)
	_ bridges.Renamer        = (*network)(nil)
	_ bridges.Inviter        = (*network)(nil)
	_ bridges.RoleSetter     = (*network)(nil)
	_ bridges.RoomConfigurer = (*network)(nil)
	_ bridges.Presencer      = (*network)(nil)
	_ bridges.Console        = (*network)(nil)
	_ bridges.Lister         = (*network)(nil)
	_ bridges.Directory      = (*network)(nil)
	_ bridges.Prober         = (*network)(nil)
	_ bridges.Profiler       = (*network)(nil)
)

// Join enters a channel. A key that opened it before is used again when none
// is given.
func (n *network) Join(ref bridges.Ref, room string, opt bridges.JoinOptions) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return errOffline()
	}
	return n.join(ref, room, opt.Password)
}

func (n *network) join(ref bridges.Ref, name, key string) error {
	if text := badName(name, bridges.AddressRoom); text != "" {
		return bridges.NewError(bridges.Invalid, text)
	}
	if !n.support.IsChannel(name) {
		return bridges.NewError(bridges.NotFound, "“"+printable(name)+"” is not a channel on this network: names begin with one of "+n.support.ChanTypes)
	}
	if strings.ContainsAny(key, " ,") || badLine(key) {
		return bridges.NewError(bridges.PasswordRequired, "No key of a channel has a space or a comma in it.")
	}
	id := bridges.RoomID(n.fold(name))
	if n.pendingJoin(id) != nil && ref == 0 {
		return nil // under way already
	}
	if key == "" {
		key = n.keys[id]
	}
	params := []string{name}
	if key != "" {
		params = append(params, key)
	}
	p, err := n.begins(&pending{act: actJoin, ref: ref, room: id, name: name, key: key}, "JOIN", params...)
	if err == nil && key != "" {
		n.keepKey(p.room, key)
	}
	return err
}

// Leave leaves a channel.
func (n *network) Leave(ref bridges.Ref, room bridges.RoomID, reason string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return errOffline()
	}
	name := string(room)
	if r := n.rooms[room]; r != nil {
		name = r.name
	} else if n.pendingJoin(room) == nil {
		return bridges.NewError(bridges.NotJoined, "You are not in that channel.")
	}
	params := []string{name}
	if reason = oneLine(reason); reason != "" {
		params = append(params, cutBytes(reason, n.reasonLimit("KICKLEN", n.textLimit("PART", name))))
	}
	delete(n.keys, room)
	_, err := n.begins(&pending{act: actLeave, ref: ref, room: room}, "PART", params...)
	return err
}

// reasonLimit is a length the server has announced, or what fits a line.
func (n *network) reasonLimit(token string, fits int) int {
	value, _ := n.support.Raw(token)
	if limit := atoi(value); limit > 0 {
		return min(limit, fits)
	}
	return fits
}

// entered finds a room the user is in.
func (n *network) entered(room bridges.RoomID) (*room, error) {
	if !n.online() {
		return nil, errOffline()
	}
	if r := n.rooms[room]; r != nil && r.entered {
		return r, nil
	}
	return nil, bridges.NewError(bridges.NotJoined, "You are not in that channel.")
}

// SetSubject sets a channel's topic.
func (n *network) SetSubject(ref bridges.Ref, room bridges.RoomID, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return err
	}
	text = oneLine(text)
	if len(text) > n.reasonLimit("TOPICLEN", n.textLimit("TOPIC", r.name)) {
		return bridges.NewError(bridges.TooLarge, "That subject is too long for this network.")
	}
	_, err = n.begins(&pending{act: actTopic, ref: ref, room: room, name: text}, "TOPIC", r.name, text)
	return err
}

// Rename changes the user's nick.
func (n *network) Rename(ref bridges.Ref, nick string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return errOffline()
	}
	if text := badName(nick, bridges.AddressPerson); text != "" {
		return bridges.NewError(bridges.Invalid, text)
	}
	_, err := n.begins(&pending{act: actNick, ref: ref, name: nick}, "NICK", nick)
	return err
}

// Invite invites a person into a channel. IRC carries no reason.
func (n *network) Invite(ref bridges.Ref, room bridges.RoomID, nick, _ string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return err
	}
	if text := badName(nick, bridges.AddressPerson); text != "" {
		return bridges.NewError(bridges.NotFound, text)
	}
	_, err = n.begins(&pending{act: actInvite, ref: ref, room: room, user: n.fold(nick)}, "INVITE", nick, r.name)
	return err
}

// SetAway tells the network whether the user is away; it is told again after
// every connection.
func (n *network) SetAway(away bool, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	text = oneLine(text)
	if away == n.wantAway && text == n.awayText && n.online() {
		return nil
	}
	n.wantAway, n.awayText = away, text
	if !n.online() {
		return errOffline()
	}
	line := ircconn.Line{Command: "AWAY"}
	if away {
		line.Params = []string{n.awayLine()}
	}
	_, err := n.write(line)
	return err
}

func (n *network) awayLine() string {
	return cutBytes(or(n.awayText, "away"), n.reasonLimit("AWAYLEN", n.textLimit("AWAY", "")))
}

// Raw sends a line as the user wrote it. What the server says to it comes as
// ServerNotice, errors too; Done follows when it has handled it.
func (n *network) Raw(ref bridges.Ref, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return errOffline()
	}
	line, err := ircconn.ParseLine(text)
	if err != nil {
		return bridges.NewError(bridges.Invalid, "That is not an IRC command.")
	}
	return n.start(&pending{act: actRaw, ref: ref}, line)
}

// SetRole kicks, or gives and takes the levels that make the role.
func (n *network) SetRole(ref bridges.Ref, room bridges.RoomID, nick string, role bridges.Role, reason string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return err
	}
	if role == bridges.RoleNone {
		return n.kick(ref, r, nick, reason)
	}
	prefix, err := n.prefixOf(r, nick)
	if err != nil {
		return err
	}
	var keep, give byte
	switch role {
	case bridges.RoleModerator:
		if give = 'h'; n.levelOf('h') < 0 {
			give = 'o'
		}
		keep = 'v'
	case bridges.RoleParticipant:
		if keep = 'v'; r.moderated {
			give = 'v'
		}
	}
	if now, _ := standingOf(n.levels, prefix, r.moderated); now == role {
		give = 0
		keep = 0
		return n.changeModes(ref, r, nil)
	}
	return n.relevelMember(ref, r, nick, prefix, give, keep)
}

// SetAffiliation gives and takes the levels that make the affiliation; an
// outcast is banned and removed, and a mask that loses it is unbanned.
func (n *network) SetAffiliation(ref bridges.Ref, room bridges.RoomID, target string, a bridges.Affiliation, reason string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return err
	}
	if isMask := strings.ContainsAny(target, "!@*?"); isMask || a == bridges.AffiliationOutcast {
		return n.ban(ref, r, target, isMask, a, reason)
	}
	prefix, err := n.prefixOf(r, target)
	if err != nil {
		return err
	}
	give, ok := n.levelFor(a)
	if !ok {
		return bridges.NewError(bridges.Unsupported, "This network has no such standing in its channels.")
	}
	return n.relevelMember(ref, r, target, prefix, give, 0)
}

// levelFor is the mode that makes an affiliation: none for none.
func (n *network) levelFor(a bridges.Affiliation) (mode byte, ok bool) {
	choices := map[bridges.Affiliation]string{
		bridges.AffiliationMember: "vh", bridges.AffiliationAdmin: "o", bridges.AffiliationOwner: "aq",
	}[a]
	for i := range len(choices) {
		if n.levelOf(choices[i]) >= 0 {
			return choices[i], true
		}
	}
	return 0, a == bridges.AffiliationNone
}

func (n *network) levelOf(mode byte) int {
	return slices.IndexFunc(n.levels, func(l level) bool { return l.mode == mode })
}

func (n *network) prefixOf(r *room, nick string) (uint16, error) {
	folded := n.fold(nick)
	if folded == n.fold(n.nick) {
		return r.prefix, nil
	}
	if m := r.roster.find(folded); m != nil {
		return m.prefix, nil
	}
	return 0, bridges.NewError(bridges.NotFound, "“"+printable(nick)+"” is not in this channel.")
}

// relevelMember gives one level and takes every other but the one to keep.
func (n *network) relevelMember(ref bridges.Ref, r *room, nick string, prefix uint16, give, keep byte) error {
	var want []change
	folded := n.fold(nick)
	if i := n.levelOf(give); i >= 0 && prefix&(1<<i) == 0 {
		want = append(want, change{mode: give, add: true, arg: folded})
	}
	for i, l := range n.levels {
		if prefix&(1<<i) != 0 && l.mode != give && l.mode != keep {
			want = append(want, change{mode: l.mode, arg: folded})
		}
	}
	return n.changeModes(ref, r, want)
}

// changeModes sends MODE, in as many lines as the server's limit of changes
// asks for. Nothing to change is asked of the server all the same, in a form
// that changes nothing: the outcome comes from it.
func (n *network) changeModes(ref bridges.Ref, r *room, want []change) error {
	p := &pending{act: actMode, ref: ref, room: r.id, want: want}
	if len(want) == 0 {
		return n.start(p, ircconn.Line{Command: "MODE", Params: []string{r.name}})
	}
	p.user = want[0].arg
	return n.start(p, n.modeLines(r, want)...)
}

func (n *network) modeLines(r *room, want []change) []ircconn.Line {
	per := n.support.Modes
	if per <= 0 {
		per = 4
	}
	var lines []ircconn.Line
	for chunk := range slices.Chunk(want, per) {
		modes, params := "", []string{r.name, ""}
		for _, c := range chunk {
			modes += modeChange{mode: c.mode, add: c.add}.String()
			if arg := or(c.raw, n.spelling(r, c.arg)); arg != "" {
				params = append(params, arg)
			}
		}
		params[1] = modes
		lines = append(lines, ircconn.Line{Command: "MODE", Params: params})
	}
	return lines
}

// spelling is a member's nick as the network writes it.
func (n *network) spelling(r *room, folded string) string {
	if m := r.roster.find(folded); m != nil {
		return m.who.Value().nick
	}
	return folded
}

func (n *network) kick(ref bridges.Ref, r *room, nick, reason string) error {
	if _, err := n.prefixOf(r, nick); err != nil {
		return err
	}
	return n.start(&pending{act: actKick, ref: ref, room: r.id, user: n.fold(nick)}, n.kickLine(r, nick, reason))
}

func (n *network) kickLine(r *room, nick, reason string) ircconn.Line {
	params := []string{r.name, nick}
	if reason = oneLine(reason); reason != "" {
		params = append(params, cutBytes(reason, n.reasonLimit("KICKLEN", n.textLimit("KICK", r.name+" "+nick))))
	}
	return ircconn.Line{Command: "KICK", Params: params}
}

// ban sets or removes a ban. Somebody present is removed with it.
func (n *network) ban(ref bridges.Ref, r *room, target string, isMask bool, a bridges.Affiliation, reason string) error {
	mask := target
	m := r.roster.find(n.fold(target))
	if !isMask {
		mask = target + "!*@*"
		if m != nil {
			if _, host, ok := strings.Cut(m.who.Value().mask, "@"); ok {
				mask = "*!*@" + host
			}
		}
	}
	if strings.ContainsAny(mask, " ,\r\n") || strings.HasPrefix(mask, ":") {
		return bridges.NewError(bridges.Invalid, "“"+printable(mask)+"” is not a mask.")
	}
	add := a == bridges.AffiliationOutcast
	sign := "-b"
	if add {
		sign = "+b"
	}
	p := &pending{act: actMode, ref: ref, room: r.id, user: n.fold(target), want: []change{{mode: 'b', add: add, arg: n.fold(mask)}}}
	lines := []ircconn.Line{{Command: "MODE", Params: []string{r.name, sign, mask}}}
	if add && m != nil {
		lines = append(lines, n.kickLine(r, target, reason))
	}
	return n.start(p, lines...)
}
