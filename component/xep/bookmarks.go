package xep

import (
	"strconv"

	"transportd/component"
)

// Namespaces of bookmarks: the node they are at, and where (XEP-0402, XEP-0060).
const (
	NSBookmarks = "urn:xmpp:bookmarks:1"
	NSPubSub    = "http://jabber.org/protocol/pubsub"
)

// Bookmark is a room in the user's list (XEP-0402 section 3).
type Bookmark struct {
	Name     string
	AutoJoin bool
}

// AppendTo writes the bookmark.
func (b Bookmark) AppendTo(o *component.Out) {
	o.Start(NSBookmarks, "conference").OptAttr("name", b.Name).Attr("autojoin", strconv.FormatBool(b.AutoJoin)).End()
}

// AppendBookmarkGet asks for the bookmark of a room, or with none for one of any.
func AppendBookmarkGet(o *component.Out, room component.JID) {
	o.Start(NSPubSub, "pubsub").Start("", "items").Attr("node", NSBookmarks)
	if room.IsZero() {
		o.Attr("max_items", "1").End().End()
		return
	}
	o.Start("", "item").Attr("id", room.String()).End().End().End()
}

// HasBookmarks tells whether there are any in an answer.
func HasBookmarks(answer *component.Element) bool {
	return answer.Child(NSPubSub, "pubsub").Child("", "items").Child("", "item") != nil
}

// FindBookmark is the bookmark of a room in an answer, as its user's clients wrote it;
// nil: there is none.
func FindBookmark(answer *component.Element, room component.JID) *component.Element {
	items := answer.Child(NSPubSub, "pubsub").Child("", "items")
	for item := range items.Children() {
		if item.Name == "item" && jid(item.Attr("id")) == room {
			return item.Child(NSBookmarks, "conference")
		}
	}
	return nil
}

// AppendBookmarkSet stores a bookmark that write writes (XEP-0402 section 3.3): for the
// user alone or, where as tells that the list is there, as the user has set that up.
func AppendBookmarkSet(o *component.Out, room component.JID, as bool, write func(*component.Out)) {
	o.Start(NSPubSub, "pubsub").Start("", "publish").Attr("node", NSBookmarks).Start("", "item").Attr("id", room.String())
	write(o)
	o.End().End()
	if as {
		o.End()
		return
	}
	o.Start("", "publish-options")
	form := component.Form{Type: component.FormSubmit, Fields: []component.FormField{
		component.TypeField(NSPubSub + "#publish-options"),
		{Var: "pubsub#persist_items", Values: []string{"true"}},
		{Var: "pubsub#max_items", Values: []string{"max"}},
		{Var: "pubsub#send_last_published_item", Values: []string{"never"}},
		{Var: "pubsub#access_model", Values: []string{"whitelist"}},
	}}
	form.AppendTo(o)
	o.End().End()
}

// AppendBookmarkRemove takes a bookmark out, and tells the user's clients (section 3.4).
func AppendBookmarkRemove(o *component.Out, room component.JID) {
	o.Start(NSPubSub, "pubsub").Start("", "retract").Attr("node", NSBookmarks).Attr("notify", "true")
	o.Start("", "item").Attr("id", room.String()).End().End().End()
}
