package component

// maxItemsBytes bounds the entries in one answer, well below what servers take
// for a stanza.
const maxItemsBytes = 48 << 10

// Item is one entry of a disco#items list (XEP-0030 section 4).
type Item struct {
	JID        JID
	Node, Name string
}

// id names an item in a page (XEP-0059). It survives changes of the list.
func (i Item) id() string {
	if i.Node == "" {
		return i.JID.String()
	}
	return i.JID.String() + " " + i.Node
}

// ItemsReply answers a disco#items request with the page of items it asks for
// (XEP-0059). A list that is too long for one stanza is cut, also where no page
// was asked for; the answer then says how long the whole is and how to go on.
func ItemsReply(req *Stanza, items []Item) *Out {
	query := req.Payload()
	set, asked, err := ParseResultSet(query)
	if err != nil {
		return ErrorReply(req, asStanzaError(err))
	}
	start, end, problem := set.Window(len(items), func(id string) int {
		for i := range items {
			if items[i].id() == id {
				return i
			}
		}
		return -1
	})
	if problem != nil {
		return ErrorReply(req, problem)
	}
	backwards := set.Before != "" || set.BeforeLast
	start, end = fitItems(items, start, end, backwards)

	o := Result(req).Start(NSDiscoItems, "query").OptAttr("node", query.Attr("node"))
	for _, item := range items[start:end] {
		o.Start("", "item").Attr("jid", item.JID.String()).OptAttr("node", item.Node).OptAttr("name", item.Name).End()
	}
	if asked || end-start < len(items) {
		first, last := "", ""
		if start < end {
			first, last = items[start].id(), items[end-1].id()
		}
		AppendPage(o, first, last, start, len(items))
	}
	return o.End()
}

// fitItems narrows a window to what fits a stanza; a page that is read
// backwards keeps its end.
func fitItems(items []Item, start, end int, backwards bool) (int, int) {
	size := 0
	cost := func(i int) int {
		// Escaping can make a text up to six times as long; most need none.
		return 64 + 2*(len(items[i].JID.Local)+len(items[i].JID.Domain)+len(items[i].Node)+len(items[i].Name))
	}
	if backwards {
		at := end
		for at > start && (at == end || size+cost(at-1) <= maxItemsBytes) {
			at--
			size += cost(at)
		}
		return at, end
	}
	at := start
	for at < end && (at == start || size+cost(at) <= maxItemsBytes) {
		size += cost(at)
		at++
	}
	return start, at
}
