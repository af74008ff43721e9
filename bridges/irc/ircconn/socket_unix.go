//go:build unix

package ircconn

import (
	"net"
	"syscall"
)

// rawConn gives access to a TCP socket, nil for anything else.
func rawConn(sock net.Conn) syscall.RawConn {
	tcp, ok := sock.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readSocket reads from a non-blocking socket; again means that nothing is there.
func readSocket(fd uintptr, p []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, true, nil
		}
		return n, false, err
	}
}
