package main

import (
	"errors"
	"strconv"
)

// A message of the load program is bodyLen bytes of plain ASCII:
//
//	q<sender 5> <sequence 10> <stamp 15> <filler>
//
// sender is 0 for the person on IRC and the user's number for an XMPP user, sequence counts from 0 for each sender, stamp
// is the time of sending in nanoseconds since the program started (0 where latency is not asked for).
const (
	bodyLen   = 80
	senderAt  = 1
	senderLen = 5
	seqAt     = senderAt + senderLen + 1
	seqLen    = 10
	stampAt   = seqAt + seqLen + 1
	stampLen  = 15
	fillerAt  = stampAt + stampLen + 1
)

const filler = "the quick brown fox jumps over the lazy dogs 7"

var (
	errNotOurs = errors.New("not a message of the load program")
	errAltered = errors.New("the text was altered")
)

// appendBody appends the text of one message.
func appendBody(b []byte, sender int, seq uint64, stamp int64) []byte {
	at := len(b)
	b = append(b, "q00000 0000000000 000000000000000 "...)
	b = append(b, filler...)
	digits(b[at+senderAt:at+senderAt+senderLen], uint64(sender))
	digits(b[at+seqAt:at+seqAt+seqLen], seq)
	if stamp != 0 {
		digits(b[at+stampAt:at+stampAt+stampLen], uint64(stamp))
	}
	return b
}

// digits writes n right-aligned into b, which already holds zeros.
func digits(b []byte, n uint64) {
	for i := len(b) - 1; n > 0 && i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// body is the content of one message as it arrived.
type body struct {
	sender int
	seq    uint64
	stamp  int64
}

// parseBody reads the text of a message. errNotOurs: some other text (a notice of the gateway); errAltered: one of ours that
// is not what was sent.
func parseBody(b []byte) (body, error) {
	if len(b) <= seqAt || b[0] != 'q' || b[seqAt-1] != ' ' {
		return body{}, errNotOurs
	}
	sender, ok := number(b[senderAt : senderAt+senderLen])
	if !ok {
		return body{}, errNotOurs
	}
	if len(b) != bodyLen || b[stampAt-1] != ' ' || b[fillerAt-1] != ' ' || string(b[fillerAt:]) != filler {
		return body{sender: int(sender)}, errAltered
	}
	seq, ok1 := number(b[seqAt : seqAt+seqLen])
	stamp, ok2 := number(b[stampAt : stampAt+stampLen])
	if !ok1 || !ok2 {
		return body{sender: int(sender)}, errAltered
	}
	return body{sender: int(sender), seq: seq, stamp: int64(stamp)}, nil
}

// number reads decimal digits only.
func number(b []byte) (uint64, bool) {
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(b) > 0
}

// userNumber is the number in a user's name: 17 for "u17", 0 for anything else.
func userNumber(name []byte) int {
	if len(name) < 2 || name[0] != 'u' {
		return 0
	}
	n, ok := number(name[1:])
	if !ok {
		return 0
	}
	return int(n)
}

func userName(n int) string { return "u" + strconv.Itoa(n) }
