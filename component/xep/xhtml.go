package xep

// NSXHTMLBody is the namespace of what stands in a message's XHTML (XEP-0071).
const NSXHTMLBody = "http://www.w3.org/1999/xhtml"
