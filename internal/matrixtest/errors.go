package matrixtest

import "time"

// Error is a refusal as the client gets it.
type Error struct {
	Status     int
	Code       string // errcode
	Text       string
	RetryAfter time.Duration // 429
	Soft       bool          // 401: soft_logout
	more       object        // other fields
	location   string        // 3xx
}

func (e *Error) Error() string { return e.Code + ": " + e.Text }

func refuse(status int, code, text string) error {
	return &Error{Status: status, Code: code, Text: text}
}

func notFound(text string) error  { return refuse(404, "M_NOT_FOUND", text) }
func forbidden(text string) error { return refuse(403, "M_FORBIDDEN", text) }

// body is the error's JSON.
func (e *Error) body() object {
	o := object{}
	if e.Code != "" {
		o["errcode"], o["error"] = e.Code, e.Text
	}
	if e.Status == 429 {
		o["retry_after_ms"] = e.RetryAfter.Milliseconds()
	}
	if e.Code == "M_UNKNOWN_TOKEN" {
		o["soft_logout"] = e.Soft
	}
	for k, v := range e.more {
		o[k] = v
	}
	return o
}
