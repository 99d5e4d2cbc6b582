package testserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// kindNonce is the kind of the documents that remember nonces of single use.
const kindNonce = "dpop-nonce"

// NonceMode says whether DPoP proofs need a nonce of this server, and how long
// one is good.
type NonceMode uint8

// The modes of nonces.
const (
	// NoNonces leaves it to iat to say how fresh a proof is.
	NoNonces NonceMode = iota
	// TimedNonces asks for the nonce of this period or the one before.
	TimedNonces
	// SingleUseNonces asks for a nonce that no proof has borne yet: a client
	// that does not take the one from each answer is asked again each time.
	SingleUseNonces
)

// nonces makes and checks the nonces of RFC 9449 8. They need no storage: a
// nonce says when it was made, under a key that nobody else has, so a second
// process over the same keys knows it, too.
type nonces struct {
	mode   NonceMode
	period time.Duration
	key    []byte
}

const nonceTag = 16

// issue makes the nonce of a place. A timed one is the same for a period.
func (n *nonces) issue(at place, now time.Time) string {
	body := make([]byte, 16)
	if n.mode == TimedNonces {
		now = now.Truncate(n.period)
	} else {
		copy(body[8:], random(8))
	}
	binary.BigEndian.PutUint64(body, uint64(now.UnixMilli()))
	return encode64(append(body, n.tag(at, body)...))
}

func (n *nonces) tag(at place, body []byte) []byte {
	mac := hmac.New(sha256.New, n.key)
	mac.Write([]byte("dpop-nonce\x00" + string(at) + "\x00"))
	mac.Write(body)
	return mac.Sum(nil)[:nonceTag]
}

// good reports that the nonce was made here for this place, at most two
// periods ago.
func (n *nonces) good(at place, nonce string, now time.Time) bool {
	raw, err := decode64(nonce)
	if err != nil || len(raw) != 16+nonceTag || !hmac.Equal(raw[16:], n.tag(at, raw[:16])) {
		return false
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(raw)))
	return !now.Before(made) && now.Before(made.Add(2*n.period))
}

// memory is how long a proof has to be remembered: as long as it could pass
// for a fresh one.
func (n *nonces) memory() time.Duration {
	if n.mode == NoNonces {
		return proofLife + proofDrift
	}
	return 2 * n.period
}
