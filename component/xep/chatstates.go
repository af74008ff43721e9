package xep

import "transportd/component"

// NSChatStates tells what the other side of a chat is doing (XEP-0085).
const NSChatStates = "http://jabber.org/protocol/chatstates"

// ChatState is one of the five states, or empty.
type ChatState string

// Chat states.
const (
	Active    ChatState = "active"
	Composing ChatState = "composing"
	Paused    ChatState = "paused"
	Inactive  ChatState = "inactive"
	Gone      ChatState = "gone"
)

// ParseChatState returns a message's state; empty where it has none.
func ParseChatState(e *component.Element) ChatState {
	for _, s := range []ChatState{Active, Composing, Paused, Inactive, Gone} {
		if find(e, NSChatStates, string(s)) != nil {
			return s
		}
	}
	return ""
}

// AppendTo writes the state.
func (s ChatState) AppendTo(o *component.Out) { o.Start(NSChatStates, string(s)).End() }
