// Package sealedfile keeps one record of a store in one file, sealed with
// AES-256-GCM under a key that lies elsewhere, or by name in the clear. [Seal]
// and [Parse] are the format, [Read] and [Replace] the file, [Dir] the
// directory it is in.
//
// A file is replaced, never changed: who reads it without a lock finds the old
// record or the new one, whole. Writers exclude each other by a lock of theirs.
//
// Each reading and each writing opens the directory first and sees to it that
// it is this user's alone, as it was when the program started; then the file is
// opened in that directory and nowhere else.
package sealedfile

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// The layout, in bytes from the start; numbers are big-endian:
//
//	 0   8  magic: pawlseal, or pawlopen where the record is in the clear
//	 8   1  format
//	 9   7  zero
//	16   8  write counter
//	24   8  key id
//	32  12  nonce
//	44      sealed: version 16, length of the data 4, data, zeros; then the tag 16
//
// The additional data is all that precedes the nonce, and the session's key:
// a file that is renamed, or whose counter is raised by hand, does not open.
// In the clear the tag is a check sum over the same.
const (
	magic      = "pawlseal"
	plainMagic = "pawlopen"
	format     = 1
	headerSize = 32
	nonceSize  = 12
	tagSize    = 16
	prefixSize = 16 + 4
	overhead   = headerSize + nonceSize + prefixSize + tagSize

	// pageSize is what the length of a file is a multiple of. It hides the
	// length of the record, and it makes a small record's write (the spend
	// mark) claim the room that its successor needs.
	pageSize = 4096

	// MaxData is the longest record, in bytes. A token set has a few
	// thousand.
	MaxData = 1 << 20

	// MaxCounter is far more than anyone can write. A header that claims
	// more is damaged; believed, it would leave no higher counter.
	MaxCounter = 1 << 62

	maxFile = (MaxData + overhead + pageSize - 1) / pageSize * pageSize
)

var (
	// ErrDamaged: this is no sealed file, or not as it was written.
	ErrDamaged = errors.New("sealedfile: the file is damaged")
	// ErrOtherKey: the file is sealed under another key.
	ErrOtherKey = errors.New("sealedfile: the file is sealed under another key")
	// ErrPlain: the file is in the clear, and the key is one that seals.
	ErrPlain = errors.New("sealedfile: the file is in the clear, not sealed")
	// ErrSealed: the file is sealed, and the key is [Plain].
	ErrSealed = errors.New("sealedfile: the file is sealed, not in the clear")
	// ErrNewer: a later version of the library wrote the file.
	ErrNewer = errors.New("sealedfile: the file was written by a newer version of pawl")
	// ErrTooLong: the record exceeds [MaxData].
	ErrTooLong = fmt.Errorf("sealedfile: the record is longer than %d bytes", MaxData)
)

// Record is what a file holds.
type Record struct {
	// Counter counts the writes of the session; of two records of one
	// session the higher counter is the later one.
	Counter uint64
	// Version is the record's, as the session chose it.
	Version tokensource.Version
	// Data is opaque.
	Data []byte
}

// Seal returns the contents of the file that holds r, for the session of the
// given key.
func Seal(k Key, session tokensource.Key, r Record) ([]byte, error) {
	if len(r.Data) > MaxData {
		return nil, ErrTooLong
	}
	size := (overhead + len(r.Data) + pageSize - 1) / pageSize * pageSize
	raw := make([]byte, headerSize, size)
	copy(raw, k.magic())
	raw[8] = format
	binary.BigEndian.PutUint64(raw[16:], r.Counter)
	id := k.id()
	copy(raw[24:], id[:])
	ad := additional(raw, session)

	nonce := raw[headerSize : headerSize+nonceSize]
	_, _ = rand.Read(nonce)
	plain := make([]byte, size-headerSize-nonceSize-tagSize)
	copy(plain, r.Version[:])
	binary.BigEndian.PutUint32(plain[16:], uint32(len(r.Data)))
	copy(plain[prefixSize:], r.Data)
	return k.aead().Seal(raw[:headerSize+nonceSize], nonce, plain, ad), nil
}

func additional(header []byte, session tokensource.Key) []byte {
	return append(bytes.Clone(header[:headerSize]), session.String()...)
}

// Sealed is a file whose header was read and whose record was not.
type Sealed struct {
	// Counter is what the header says; nothing vouches for it until Open
	// has succeeded.
	Counter uint64

	raw []byte
}

// Parse reads the header of raw, which it keeps. Its errors match ErrDamaged
// or ErrNewer.
func Parse(raw []byte) (*Sealed, error) {
	if len(raw) < 9 || string(raw[:8]) != magic && string(raw[:8]) != plainMagic || raw[8] == 0 {
		return nil, ErrDamaged
	}
	if raw[8] > format {
		return nil, ErrNewer
	}
	if len(raw)%pageSize != 0 || len(raw) == 0 || len(raw) > maxFile {
		return nil, ErrDamaged
	}
	counter := binary.BigEndian.Uint64(raw[16:])
	if counter > MaxCounter {
		return nil, ErrDamaged
	}
	return &Sealed{Counter: counter, raw: raw}, nil
}

// Plain tells whether the record is in the clear.
func (s *Sealed) Plain() bool { return string(s.raw[:8]) == plainMagic }

// Open returns the record. Its errors match ErrOtherKey or ErrDamaged, which
// mean that k never opens it, or ErrPlain or ErrSealed.
func (s *Sealed) Open(k Key, session tokensource.Key) (Record, error) {
	switch {
	case s.Plain() && !k.plain():
		return Record{}, ErrPlain
	case k.plain() && !s.Plain():
		return Record{}, ErrSealed
	}
	if id := k.id(); !bytes.Equal(s.raw[24:32], id[:]) {
		return Record{}, ErrOtherKey
	}
	nonce, sealed := s.raw[headerSize:headerSize+nonceSize], s.raw[headerSize+nonceSize:]
	plain, err := k.aead().Open(nil, nonce, sealed, additional(s.raw, session))
	if err != nil {
		return Record{}, ErrDamaged
	}
	n := binary.BigEndian.Uint32(plain[16:])
	if int64(n) > int64(len(plain)-prefixSize) {
		return Record{}, ErrDamaged
	}
	return Record{
		Counter: s.Counter,
		Version: tokensource.Version(plain),
		Data:    plain[prefixSize : prefixSize+n : prefixSize+n],
	}, nil
}
