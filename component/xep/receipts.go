package xep

import "transportd/component"

// NSReceipts asks for and tells of a message's delivery (XEP-0184).
const NSReceipts = "urn:xmpp:receipts"

// WantsReceipt reports whether a message asks for a receipt.
func WantsReceipt(e *component.Element) bool {
	return find(e, NSReceipts, "request") != nil
}

// ParseReceipt returns the id of the message that was received; empty where the
// message is no receipt.
func ParseReceipt(e *component.Element) string {
	return find(e, NSReceipts, "received").Attr("id")
}

// AppendReceiptRequest asks for a receipt.
func AppendReceiptRequest(o *component.Out) { o.Start(NSReceipts, "request").End() }

// AppendReceipt writes that the message with that id was received.
func AppendReceipt(o *component.Out, id string) {
	o.Start(NSReceipts, "received").Attr("id", id).End()
}
