package component

import (
	"slices"
	"strings"

	"gosrc.io/xmpp/stanza"
)

// Namespaces of service discovery (XEP-0030).
const (
	NSDiscoInfo  = "http://jabber.org/protocol/disco#info"
	NSDiscoItems = "http://jabber.org/protocol/disco#items"
)

// Services is what the small services of this package are wired with. Each is
// installed by one function, called before the stream runs, which takes the
// kinds of address that answer:
//
//	HandlePing(services, AddressHost, AddressNetwork)
//
// Their handlers run in the read loop and do not wait.
type Services struct {
	Router *Router
	Disco  *Disco
	Reply  func(*Out) bool // never blocks, as Stream.TrySend
}

// Identity says what an entity is (XEP-0030 section 3.1).
type Identity struct{ Category, Type, Name, Lang string }

// DiscoInfo is what an entity is and can do.
type DiscoInfo struct {
	Identities []Identity
	Features   []string
	Forms      []Form // XEP-0128, each with a FORM_TYPE
}

// AddFeature adds a feature once.
func (i *DiscoInfo) AddFeature(feature string) {
	if !slices.Contains(i.Features, feature) {
		i.Features = append(i.Features, feature)
	}
}

// Reply answers a disco#info request.
func (i DiscoInfo) Reply(req *Stanza) *Out {
	o := Result(req).Start(NSDiscoInfo, "query").OptAttr("node", req.Payload().Attr("node"))
	for _, id := range i.Identities {
		o.Start("", "identity").Attr("category", id.Category).Attr("type", id.Type)
		o.OptAttr("name", id.Name).OptAttr("xml:lang", id.Lang).End()
	}
	for _, feature := range i.Features {
		o.Start("", "feature").Attr("var", feature).End()
	}
	for _, form := range i.Forms {
		form.AppendTo(o)
	}
	return o.End()
}

// Disco is the registry of what the addresses of a gateway are. It is filled
// before the stream runs and only read afterwards; so it needs no lock.
type Disco struct {
	info  map[AddressKind]*DiscoInfo
	nodes map[discoNode]discoSource
	lists map[AddressKind]Handler
	rest  map[AddressKind]Handler
	under []discoPrefix
}

// discoPrefix is whose nodes are answered for elsewhere.
type discoPrefix struct {
	kind   AddressKind
	prefix string
	answer Handler
}

type discoNode struct {
	kind AddressKind
	node string
}

// discoSource answers for a node. Both functions run in the read loop, must not
// wait, and may be nil.
type discoSource struct {
	info  func(*Stanza) (DiscoInfo, *StanzaError)
	items func(*Stanza) ([]Item, *StanzaError)
}

// NewDisco makes an empty registry.
func NewDisco() *Disco {
	return &Disco{info: make(map[AddressKind]*DiscoInfo), nodes: make(map[discoNode]discoSource), lists: make(map[AddressKind]Handler), rest: make(map[AddressKind]Handler)}
}

func (d *Disco) of(kind AddressKind) *DiscoInfo {
	i := d.info[kind]
	if i == nil {
		i = new(DiscoInfo)
		d.info[kind] = i
	}
	return i
}

// AddIdentity adds an identity to every address of a kind. The order is kept:
// clients take the first for what the address is.
func (d *Disco) AddIdentity(kind AddressKind, id Identity) {
	i := d.of(kind)
	i.Identities = append(i.Identities, id)
}

// AddFeature adds a feature to every address of a kind, once.
func (d *Disco) AddFeature(kind AddressKind, feature string) { d.of(kind).AddFeature(feature) }

// AddForm adds extended information to every address of a kind (XEP-0128).
func (d *Disco) AddForm(kind AddressKind, form Form) {
	i := d.of(kind)
	i.Forms = append(i.Forms, form)
}

// SetItems says what the addresses of a kind list. items runs in the read loop
// and must not wait; it returns entries in a stable order.
func (d *Disco) SetItems(kind AddressKind, items func(*Stanza) ([]Item, *StanzaError)) {
	d.setNode(kind, "", discoSource{items: items})
}

// HandleItems has requests for what the addresses of a kind list answered by h,
// for lists that are waited for. Those for a node are not among them.
func (d *Disco) HandleItems(kind AddressKind, h Handler) { d.lists[kind] = h }

// HandleRest has all requests to the addresses of a kind answered by h, but for those
// about nodes that SetNode has been told of.
func (d *Disco) HandleRest(kind AddressKind, h Handler) { d.rest[kind] = h }

// HandleNodes has requests about nodes that begin with prefix answered by h, at the
// addresses of a kind: what such nodes are and list differs by user, or is waited for.
func (d *Disco) HandleNodes(kind AddressKind, prefix string, h Handler) {
	d.under = append(d.under, discoPrefix{kind, prefix, h})
}

// other is who answers a request that is not the registry's; nil: it is.
func (d *Disco) other(kind AddressKind, req *Stanza, list bool) Handler {
	node := req.Payload().Attr("node")
	for _, u := range d.under {
		if u.kind == kind && strings.HasPrefix(node, u.prefix) {
			return u.answer
		}
	}
	if rest := d.rest[kind]; rest != nil {
		if _, ours := d.nodes[discoNode{kind, node}]; !ours {
			return rest
		}
	}
	if list && node == "" {
		return d.lists[kind]
	}
	return nil
}

// SetNode says what a node of the addresses of a kind is and lists, under the
// rules of SetItems. Either function may be nil.
func (d *Disco) SetNode(kind AddressKind, node string, info func(*Stanza) (DiscoInfo, *StanzaError), items func(*Stanza) ([]Item, *StanzaError)) {
	d.setNode(kind, node, discoSource{info: info, items: items})
}

func (d *Disco) setNode(kind AddressKind, node string, s discoSource) {
	d.nodes[discoNode{kind, node}] = s
}

// Info is a copy of what the addresses of a kind are, for those who add to it
// what only they know of one address.
func (d *Disco) Info(kind AddressKind) DiscoInfo {
	i := d.of(kind)
	return DiscoInfo{
		Identities: slices.Clone(i.Identities),
		Features:   slices.Clone(i.Features),
		Forms:      slices.Clone(i.Forms),
	}
}

// HandleDisco answers disco#info and disco#items for addresses whose answer is
// in the registry.
func HandleDisco(s Services, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSDiscoInfo)
		s.Disco.AddFeature(kind, NSDiscoItems)
		s.Router.Handle(kind, KindIQ, "get", NSDiscoInfo, "query", func(req *Stanza) {
			if h := s.Disco.other(kind, req, false); h != nil {
				h(req)
				return
			}
			s.Reply(s.Disco.answerInfo(kind, req))
		})
		s.Router.Handle(kind, KindIQ, "get", NSDiscoItems, "query", func(req *Stanza) {
			if h := s.Disco.other(kind, req, true); h != nil {
				h(req)
				return
			}
			s.Reply(s.Disco.answerItems(kind, req))
		})
	}
}

func noSuchNode() *StanzaError {
	return NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "There is no such node.")
}

func (d *Disco) answerInfo(kind AddressKind, req *Stanza) *Out {
	node := req.Payload().Attr("node")
	if source := d.nodes[discoNode{kind, node}]; source.info != nil {
		info, err := source.info(req)
		if err != nil {
			return ErrorReply(req, err)
		}
		return info.Reply(req)
	}
	info := d.of(kind)
	if node != "" && !isCapsNode(node, info) {
		return ErrorReply(req, noSuchNode())
	}
	return info.Reply(req)
}

func (d *Disco) answerItems(kind AddressKind, req *Stanza) *Out {
	node := req.Payload().Attr("node")
	source, ok := d.nodes[discoNode{kind, node}]
	if !ok && node != "" {
		return ErrorReply(req, noSuchNode())
	}
	var items []Item
	if source.items != nil {
		var err *StanzaError
		if items, err = source.items(req); err != nil {
			return ErrorReply(req, err)
		}
	}
	return ItemsReply(req, items)
}
