package wake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchNetwork calls up, until ctx ends, when an address can be used that could
// not before, or an interface gets its carrier back: it has kept its addresses
// then.
func watchNetwork(ctx context.Context, up func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	defer socket.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK,
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR,
	}); err != nil {
		return fmt.Errorf("listen to netlink: %w", err)
	}
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	carriers, err := newCarriers()
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := socket.Read(buf)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.ENOBUFS):
			up() // something was not told
			continue
		case err != nil:
			return fmt.Errorf("read netlink: %w", err)
		}
		// The system call returns whole messages.
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return fmt.Errorf("read netlink: %w", err)
		}
		// Each is heard, also after one that is news.
		news := false
		for _, m := range messages {
			news = carriers.news(m) || news
		}
		if news {
			up()
		}
	}
}

// carriers are the interfaces that have theirs, by index.
type carriers map[uint32]bool

func newCarriers() (carriers, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	c := carriers{}
	for _, i := range interfaces {
		if i.Flags&net.FlagRunning != 0 {
			c[uint32(i.Index)] = true
		}
	}
	return c, nil
}

// news reports whether the message tells of something that came up.
func (c carriers) news(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWADDR:
		if len(m.Data) < unix.SizeofIfAddrmsg {
			return false
		}
		// One of IPv6 is told of again when nobody else has been found to use it.
		flags := m.Data[2]
		return flags&unix.IFA_F_TENTATIVE == 0
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return false
		}
		index, flags := binary.NativeEndian.Uint32(m.Data[4:]), binary.NativeEndian.Uint32(m.Data[8:])
		had, has := c[index], m.Header.Type == unix.RTM_NEWLINK && flags&unix.IFF_RUNNING != 0
		if has {
			c[index] = true
		} else {
			delete(c, index)
		}
		return has && !had
	}
	return false
}
