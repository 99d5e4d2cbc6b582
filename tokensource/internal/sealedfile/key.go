package sealedfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// Key is the 256-bit key that a file is sealed under. No way of printing it
// shows it. The zero Key holds none.
type Key struct {
	// The 32 bytes, or none for Plain. fmt prints unexported fields in spite of Format, but of a
	// pointer to a string it prints the address; of one to an array, with a
	// verb that does not fit, the array.
	p *string
}

// NewKey draws a random key.
func NewKey() Key {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the program first
	text := string(b[:])
	return Key{p: &text}
}

// Plain returns the key that seals nothing: what is written under it lies in
// the clear, and says so in its header.
func Plain() Key { return Key{p: new(string)} }

// KeyOf returns the key with the given 32 bytes, which it copies. It refuses
// zeros, which are what a buffer holds that nothing was read into.
func KeyOf(raw []byte) (Key, error) {
	if len(raw) != 32 {
		return Key{}, fmt.Errorf("sealedfile: the key has %d bytes, not 32", len(raw))
	}
	if subtle.ConstantTimeCompare(raw, make([]byte, len(raw))) == 1 {
		return Key{}, errors.New("sealedfile: the key is all zeros")
	}
	text := string(raw)
	return Key{p: &text}, nil
}

// plain tells whether k seals nothing.
func (k Key) plain() bool { return k.p != nil && *k.p == "" }

func (k Key) magic() string {
	if k.plain() {
		return plainMagic
	}
	return magic
}

// IsZero reports whether k holds no key.
func (k Key) IsZero() bool { return k.p == nil }

// Equal reports whether both are the same key.
func (k Key) Equal(other Key) bool {
	if k.p == nil || other.p == nil {
		return k.p == other.p
	}
	return hmac.Equal([]byte(*k.p), []byte(*other.p))
}

// AppendTo appends the bytes of the key to b, for the keyring.
func (k Key) AppendTo(b []byte) []byte { return append(b, *k.p...) }

// Format prints a placeholder for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("sealedfile.Key([redacted])")) }

// LogValue returns a placeholder.
func (k Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText returns a placeholder.
func (k Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// id tells keys apart in a header without telling anything about them.
func (k Key) id() [8]byte {
	if k.plain() {
		return [8]byte{}
	}
	mac := hmac.New(sha256.New, []byte(*k.p))
	mac.Write([]byte("pawl sealed file key id 1"))
	return [8]byte(mac.Sum(nil))
}

func (k Key) aead() cipher.AEAD {
	if k.plain() {
		return inTheClear{}
	}
	block, err := aes.NewCipher([]byte(*k.p))
	if err != nil {
		panic("sealedfile: bug: " + err.Error()) // only for a wrong length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("sealedfile: bug: " + err.Error()) // only for a wrong block size
	}
	return aead
}

// inTheClear stands where a cipher does, hides nothing and notices damage. It
// does not notice a hand that knows the format.
type inTheClear struct{}

func (inTheClear) NonceSize() int { return nonceSize }
func (inTheClear) Overhead() int  { return tagSize }

func (inTheClear) Seal(dst, nonce, plain, additional []byte) []byte {
	sum := checkSum(nonce, plain, additional)
	return append(append(dst, plain...), sum[:tagSize]...)
}

func (inTheClear) Open(dst, nonce, text, additional []byte) ([]byte, error) {
	if len(text) < tagSize {
		return nil, ErrDamaged
	}
	plain, tag := text[:len(text)-tagSize], text[len(text)-tagSize:]
	if sum := checkSum(nonce, plain, additional); string(tag) != string(sum[:tagSize]) {
		return nil, ErrDamaged
	}
	return append(dst, plain...), nil
}

// checkSum needs no lengths between its parts: all but the plain text have one
// length.
func checkSum(nonce, plain, additional []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(additional)
	h.Write(nonce)
	h.Write(plain)
	return [sha256.Size]byte(h.Sum(nil))
}
