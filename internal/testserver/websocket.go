package testserver

import (
	"bufio"
	"crypto/sha1" // RFC 6455 1.3 asks for it, and not to keep a secret
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The opcodes of RFC 6455 5.2 that are handled here; the others are data.
const (
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// The codes that the server closes with: RFC 6455 7.4.1, and one of its own for
// an access token that is over.
const (
	closeProtocol  = 1002
	closeTooBig    = 1009
	closeSignOn    = 4401
	maxFrame       = 1<<16 - 1              // the most that the middle form of a length holds
	socketInterval = 100 * time.Millisecond // between two looks at the token
)

const socketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 1.3

// apiSocket is a WebSocket that echoes what it gets, and closes with 4401 when
// the access token of its handshake is no longer good.
func (s *Server) apiSocket(x *exchange, c claims) reply {
	h := x.r.Header
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key"))
	if x.r.ProtoMajor != 1 || !hasToken(h.Get("Connection"), "upgrade") || !strings.EqualFold(h.Get("Upgrade"), "websocket") ||
		h.Get("Sec-WebSocket-Version") != "13" || err != nil || len(key) != 16 {
		rep := jsonReply(http.StatusUpgradeRequired, Malformed, map[string]string{"error": "Expected a WebSocket handshake"})
		rep.Header.Set("Upgrade", "websocket")
		rep.Header.Set("Sec-WebSocket-Version", "13")
		return rep
	}
	sum := sha1.Sum([]byte(h.Get("Sec-WebSocket-Key") + socketGUID))
	accept := base64.StdEncoding.EncodeToString(sum[:])
	rep := reply{outcome: Done, Answer: Answer{Status: http.StatusSwitchingProtocols}}
	rep.stream = func(x *exchange) error { return s.converse(x, c, accept) }
	return rep
}

func hasToken(list, want string) bool {
	for token := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(token), want) {
			return true
		}
	}
	return false
}

// converse takes the connection over until it is closed.
func (s *Server) converse(x *exchange, c claims, accept string) error {
	conn, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // a handler that was called without a connection
	}
	defer func() { _ = conn.Close() }()
	stop := s.closeOnStop(conn)
	defer stop()
	x.answered = true
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		headerNotice+": "+notice+"\r\n"+headerOutcome+": "+string(Done)+"\r\nSec-WebSocket-Accept: "+accept+"\r\n\r\n")
	if err != nil {
		return err
	}
	over := make(chan struct{})
	defer close(over)
	go s.watchToken(x, c, conn, over)
	for {
		op, payload, code := readFrame(rw.Reader)
		if !s.good(x, c) {
			code = closeSignOn
		}
		switch {
		case code != 0:
			return writeFrame(conn, 0x80|opClose, binary.BigEndian.AppendUint16(nil, uint16(code)))
		case op&0xF == opClose:
			return writeFrame(conn, 0x80|opClose, payload)
		case op&0xF == opPing:
			op = op&0xF0 | opPong
		case op&0xF == opPong:
			continue
		}
		if err := writeFrame(conn, op, payload); err != nil {
			return err
		}
	}
}

// watchToken ends the wait for the next frame when the token is over.
func (s *Server) watchToken(x *exchange, c claims, conn net.Conn, over <-chan struct{}) {
	t := time.NewTicker(socketInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if !s.good(x, c) {
				_ = conn.SetReadDeadline(time.Unix(1, 0))
				return
			}
		case <-over:
			return
		}
	}
}

// readFrame reads one frame of a client, which must be masked (RFC 6455 5.1).
// A code other than 0 is what to close with.
func readFrame(r *bufio.Reader) (op byte, payload []byte, code int) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head[1]&0x80 == 0 || head[0]&0x70 != 0 {
		return 0, nil, closeProtocol
	}
	length, err := readLength(r, head[1]&0x7F)
	if err != nil {
		return 0, nil, closeProtocol
	}
	if length > maxFrame {
		return 0, nil, closeTooBig
	}
	var mask [4]byte
	payload = make([]byte, length)
	_, errMask := io.ReadFull(r, mask[:])
	_, errPayload := io.ReadFull(r, payload)
	control := head[0]&0x8 != 0
	if errors.Join(errMask, errPayload) != nil || control && (length > 125 || head[0]&0x80 == 0) { // RFC 6455 5.5
		return 0, nil, closeProtocol
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, 0
}

// readLength reads the longer forms of a length: RFC 6455 5.2.
func readLength(r io.Reader, short byte) (uint64, error) {
	var long [8]byte
	switch short {
	case 126:
		_, err := io.ReadFull(r, long[6:])
		return binary.BigEndian.Uint64(long[:]), err
	case 127:
		_, err := io.ReadFull(r, long[:])
		return binary.BigEndian.Uint64(long[:]), err
	}
	return uint64(short), nil
}

func writeFrame(w io.Writer, op byte, payload []byte) error {
	frame := []byte{op}
	if n := len(payload); n < 126 {
		frame = append(frame, byte(n))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	}
	_, err := w.Write(append(frame, payload...))
	return err
}
