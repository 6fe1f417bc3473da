package portmap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
)

// ssdpPort is where devices wait for searches.
const ssdpPort = 1900

func ssdpGroup() netip.Addr { return netip.AddrFrom4([4]byte{239, 255, 255, 250}) }

// What is searched for. A gateway of version 2 answers to version 1 as well; some answer to nothing but the last.
const (
	gateway1   = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
	gateway2   = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"
	rootDevice = "upnp:rootdevice"
)

// searchMessage is a search for one kind of device. The header names are in capitals, as some devices want them.
func searchMessage(target string) []byte {
	return fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %s:%d\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n",
		ssdpGroup(), ssdpPort, target)
}

// search returns where the gateway's descriptions are, in the order in which it told. Only what the gateway itself sends
// is read.
//
// The library's own search does not serve: it does not tell who has answered, keeps all that comes, writes what it hears to
// the standard log, and asks on all networks.
func search(ctx context.Context, r route) ([]string, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0)))
	if err != nil {
		return nil, plain(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	multicast := multicasts(conn, r.local)
	var found []string
	for _, wait := range []time.Duration{searchAgain, searchWait - searchAgain} {
		if err := sendSearch(conn, r.gateway, multicast); err != nil {
			return nil, plain(err)
		}
		if found, err = hearAnswers(conn, r.gateway, time.Now().Add(wait)); len(found) > 0 {
			return found, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, plain(err)
		}
	}
	return nil, errors.New("the gateway does not answer")
}

// hearAnswers reads what the gateway answers until a time, or until a moment after its first answer.
func hearAnswers(conn *net.UDPConn, gateway netip.Addr, end time.Time) ([]string, error) {
	var found []string
	buf := make([]byte, maxDatagram)
	for len(found) < maxLocations {
		if err := conn.SetReadDeadline(end); err != nil {
			return found, err
		}
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return found, err
		}
		// The deadline does not end a loop in which there is always something to read.
		if !time.Now().Before(end) {
			break
		}
		if from.Addr().Unmap() != gateway {
			continue
		}
		if location, ok := readAnswer(buf[:n]); ok && !slices.Contains(found, location) {
			found = append(found, location)
			if settled := time.Now().Add(searchSettle); settled.Before(end) {
				end = settled
			}
		}
	}
	return found, nil
}

// multicasts reports whether the network of an address of ours can multicast, and makes the socket do it there.
func multicasts(conn *net.UDPConn, local netip.Addr) bool {
	all, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(local.AsSlice()) {
				return ipv4.NewPacketConn(conn).SetMulticastInterface(&i) == nil
			}
		}
	}
	return false
}

// sendSearch asks the gateway, which those of UPnP 1.1 answer, and the gateway's network, for those that do not. The
// network is not asked for devices of all kinds, since all would answer.
func sendSearch(conn *net.UDPConn, gateway netip.Addr, multicast bool) error {
	for _, target := range []string{gateway1, gateway2, rootDevice} {
		message := searchMessage(target)
		if _, err := conn.WriteToUDPAddrPort(message, netip.AddrPortFrom(gateway, ssdpPort)); err != nil {
			return err
		}
		if multicast && target != rootDevice {
			if _, err := conn.WriteToUDPAddrPort(message, netip.AddrPortFrom(ssdpGroup(), ssdpPort)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAnswer returns the location that an answer to a search gives.
func readAnswer(b []byte) (location string, ok bool) {
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return "", false
	}
	defer res.Body.Close()
	location = res.Header.Get("Location")
	return location, res.StatusCode == http.StatusOK && location != "" && len(location) <= maxURL
}
