package registration

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"transportd/bridges"
)

// script is what the logins of a test do, a turn for each call of Answer or Wait. What
// they were asked is noted.
type script struct {
	mu    sync.Mutex
	turns []turn
	notes []string
}

// turn is the outcome of one call.
type turn struct {
	step  bridges.LoginStep
	err   error
	until <-chan struct{} // nil: at once
	panic bool
}

func newScript(turns ...turn) *script { return &script{turns: turns} }

func (s *script) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// since returns what was asked since the last time.
func (s *script) since() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.notes, "; ")
	s.notes = nil
	return text
}

func (s *script) add(turns ...turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, turns...)
}

func (s *script) next(ctx context.Context) (bridges.LoginStep, error) {
	s.mu.Lock()
	if len(s.turns) == 0 {
		s.mu.Unlock()
		return bridges.LoginStep{}, bridges.NewError(bridges.Internal, "the script has ended")
	}
	t := s.turns[0]
	s.turns = s.turns[1:]
	s.mu.Unlock()
	if t.until != nil {
		select {
		case <-t.until:
		case <-ctx.Done():
			return bridges.LoginStep{}, ctx.Err()
		}
	}
	if t.panic {
		panic("a bug in the driver")
	}
	return t.step, t.err
}

// scripted is one login of a script.
type scripted struct {
	script  *script
	account bridges.Account
}

func (l *scripted) Answer(ctx context.Context, answers map[string]string) (bridges.LoginStep, error) {
	l.script.note("answer %v over %v", answers, l.account.Settings)
	return l.script.next(ctx)
}

func (l *scripted) Wait(ctx context.Context) (bridges.LoginStep, error) {
	l.script.note("wait")
	return l.script.next(ctx)
}

func (l *scripted) Cancel() { l.script.note("cancel") }

// Turns that many tests take.
var (
	asksCode = turn{step: bridges.LoginStep{
		Text:   "A code was sent to your telephone.",
		Fields: []bridges.Field{{Name: "code", Label: "Code", Kind: bridges.FieldSecret, Required: true}},
	}}
	doneTurn = turn{step: bridges.LoginStep{
		Done:     true,
		Settings: map[string]string{"nick": "julie", "device": "D1"},
		Secrets:  map[string]string{"token": "T1"},
	}}
	refusedTurn = turn{err: bridges.NewError(bridges.BadCredentials, "That is wrong.")}
	downTurn    = turn{err: bridges.NewError(bridges.Offline, "The server refuses connections.")}
)

// waitsTurn is a login that waits for the user to open an address.
var waitsTurn = turn{step: bridges.LoginStep{
	Text: "Open the address and enter the code.", Waits: true, URL: "https://login.example.net/device", Code: "WDJB-MJHT",
}}

// storedStep is what is stored of a login that doneTurn has ended.
const storedStep = "one map[device:D1 nick:julie token:secret T1]"

const shownWait = "Open the address and enter the code. You are told here when it is done. Send “cancel” to give it up.\n\n" +
	"Address: https://login.example.net/device\nCode: WDJB-MJHT"
