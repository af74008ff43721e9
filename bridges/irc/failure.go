package irc

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// failureKinds are what a connection's end means to the gateway.
var failureKinds = map[ircconn.Reason]bridges.ErrorKind{
	ircconn.Closed:           bridges.Offline,
	ircconn.Unresolved:       bridges.Offline,
	ircconn.ForbiddenAddress: bridges.Forbidden,
	ircconn.Refused:          bridges.Offline,
	ircconn.TLSFailed:        bridges.Offline,
	ircconn.Timeout:          bridges.Timeout,
	ircconn.NickInUse:        bridges.Conflict,
	ircconn.NickInvalid:      bridges.Invalid,
	ircconn.BadPassword:      bridges.BadCredentials,
	ircconn.SASLFailed:       bridges.BadCredentials,
	ircconn.SASLUnavailable:  bridges.Unsupported,
	ircconn.Banned:           bridges.NetworkBanned,
	ircconn.ServerFull:       bridges.TemporaryRefuse,
	ircconn.Throttled:        bridges.TemporaryRefuse,
	ircconn.Killed:           bridges.TemporaryRefuse,
	ircconn.Protocol:         bridges.Offline,
}

func failureError(f *ircconn.Failure) *bridges.Error {
	return &bridges.Error{Kind: failureKinds[f.Reason], Text: f.Text, Permanent: f.Permanent, Err: f.Err}
}

// dialError is why a connection could not be made; nil when it was ctx.
func dialError(ctx context.Context, err error) error {
	var f *ircconn.Failure
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &f):
		return failureError(f)
	}
	return bridges.AsError(err)
}

// readError is why a connection has ended.
func (n *network) readError(err error) error {
	var f *ircconn.Failure
	switch {
	case errors.As(err, &f):
		return failureError(f)
	case errors.Is(err, ircconn.ErrClosed):
		return errOffline()
	}
	return bridges.AsError(err)
}

// dialFrom connects from a local address.
func dialFrom(source netip.Addr) ircconn.DialFunc {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
	return d.DialContext
}
