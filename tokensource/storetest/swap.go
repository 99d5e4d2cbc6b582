package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

var swapClauses = []clause{
	{"compares versions",
		"Swap replaces the record of version old, zero where there must be none, and returns ErrConflict where the stored version is another one; nothing was written then", nil, swapCompares},
	{"refuses the zero version",
		"the zero Version means that there is no record, so none can be written under it", nil, swapZero},
	{"keeps no data",
		"Swap does not keep data: the caller may change it afterwards", nil, swapKeepsNothing},
	{"an empty record is one",
		"a record is opaque bytes, and none is as good as many", nil, swapEmpty},
	{"takes any length",
		"records have up to 64 KiB (Config.MaxData, if set)", nil, swapLengths},
	{"takes any bytes",
		"a record is opaque bytes", nil, swapBytes},
	{"refuses what is too long",
		"a record longer than Config.MaxData is refused, and the stored one stays", func(c Config) bool { return c.MaxData > 0 }, swapTooLong},
	{"keeps keys apart",
		"records under two keys have nothing to do with each other", nil, swapKeys},
	{"needs no lease",
		"Swap is atomic whether or not a lease is held, by whomever", nil, swapUnderLease},
	{"obeys its context",
		"Swap fails with the cause of its context when that has ended, and writes nothing", nil, swapEnded},
}

func (s *subject) conflicts(ctx context.Context, old, new tokensource.Version) {
	s.Helper()
	err := s.store.Swap(ctx, s.key, old, new, []byte("must not be written"))
	if !errors.Is(err, tokensource.ErrConflict) {
		s.Errorf("Swap over version %x, which is not the stored one, returned %v; want ErrConflict", old, err)
	}
	if errors.Is(err, tokensource.ErrNotFound) {
		s.Errorf("Swap returned an error that matches ErrNotFound, which is for Load: %v", err)
	}
}

func swapCompares(ctx context.Context, s *subject) {
	s.conflicts(ctx, version(7), version(8))
	s.absent(ctx, s.key)
	s.swap(ctx, version(0), version(1), record(1))
	s.conflicts(ctx, version(0), version(2))
	s.conflicts(ctx, version(2), version(3))
	s.holds(ctx, s.store, version(1), record(1))
	s.swap(ctx, version(1), version(2), record(2))
	s.conflicts(ctx, version(1), version(2)) // as a retry of what was written
	s.conflicts(ctx, version(1), version(3))
	// Versions are compared whole.
	near := version(2)
	near[0] ^= 1
	s.conflicts(ctx, near, version(3))
	s.holds(ctx, s.store, version(2), record(2))
}

func swapZero(ctx context.Context, s *subject) {
	for _, old := range []tokensource.Version{version(0), version(1)} {
		if err := s.store.Swap(ctx, s.key, old, tokensource.Version{}, []byte("x")); err == nil {
			s.Errorf("Swap of version %x to the zero version succeeded; want an error", old)
		}
		if old == version(0) {
			s.absent(ctx, s.key)
			s.swap(ctx, version(0), version(1), record(1))
		}
	}
	s.holds(ctx, s.store, version(1), record(1))
}

func swapKeepsNothing(ctx context.Context, s *subject) {
	data := record(1)
	s.swap(ctx, version(0), version(1), data)
	spoil(data)
	s.holds(ctx, s.store, version(1), record(1))
}

func swapEmpty(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), nil)
	s.holds(ctx, s.store, version(1), nil)
	s.conflicts(ctx, version(0), version(2))
	s.swap(ctx, version(1), version(2), []byte("x"))
	s.swap(ctx, version(2), version(3), []byte{})
	s.holds(ctx, s.another(), version(3), nil)
}

// eachRecord swaps in one record after the other and looks at each.
func (s *subject) eachRecord(ctx context.Context, records [][]byte) {
	s.Helper()
	other := s.another()
	for i, data := range records {
		s.swap(ctx, version(uint64(i)), version(uint64(i)+1), data)
		s.holds(ctx, s.store, version(uint64(i)+1), data)
		s.holds(ctx, other, version(uint64(i)+1), data)
		if s.Failed() {
			s.Fatalf("that was record %d, of %d bytes", i, len(data))
		}
	}
}

func swapLengths(ctx context.Context, s *subject) {
	most := s.config.MaxData
	if most == 0 {
		most = 64 << 10
	}
	var records [][]byte
	// Around a page, around what the keyrings of the systems take, and the
	// ends of both length prefixes and of a 16-bit number.
	for _, n := range []int{1, 127, 128, 255, 256, 1740, 1743, 2400, 2560, 4027, 4028, 4029, 4096, 8124, 10000, 65535, most} {
		if n <= most {
			data := make([]byte, n)
			_, _ = rand.Read(data)
			records = append(records, data)
		}
	}
	s.eachRecord(ctx, append(records, []byte{1})) // a short one over a long one
}

func swapBytes(ctx context.Context, s *subject) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	s.eachRecord(ctx, [][]byte{
		{0}, {'\n'}, []byte(" "), every,
		[]byte("\x00'\"\\$(id)`id`;--\r\n \t%s%00"),
		[]byte("\xff\xfe not UTF-8 \xc3\x28 \xed\xa0\x80"),
		[]byte("\xef\xbb\xbf{\"a\":1}\n\n"),
		bytes.Repeat([]byte{0}, 5000),
		bytes.Repeat([]byte("\r\n"), 1000),
	})
}

func swapTooLong(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), record(1))
	err := s.store.Swap(ctx, s.key, version(1), version(2), make([]byte, s.config.MaxData+1))
	if err == nil || errors.Is(err, tokensource.ErrConflict) {
		s.Errorf("Swap of %d bytes returned %v; want an error other than ErrConflict", s.config.MaxData+1, err)
	}
	s.holds(ctx, s.store, version(1), record(1))
	s.swap(ctx, version(1), version(2), record(2))
}

func swapKeys(ctx context.Context, s *subject) {
	first, other := s.key, s.another()
	keys := []tokensource.Key{first}
	for i := range 3 {
		keys = append(keys, keyOf(fmt.Sprint(s.profile, i)))
	}
	for i, key := range keys {
		s.key = key
		s.absent(ctx, key)
		s.swap(ctx, version(0), version(1), record(uint64(i)))
	}
	s.key = keys[1]
	s.swap(ctx, version(1), version(2), record(9))
	s.holds(ctx, other, version(2), record(9))
	for i, key := range keys {
		if i != 1 {
			s.key = key
			s.holds(ctx, other, version(1), record(uint64(i)))
		}
	}
	s.key = first
}

func swapUnderLease(ctx context.Context, s *subject) {
	other := s.another()
	lease := s.lock(ctx, s.store)
	s.swap(ctx, version(0), version(1), record(1))
	if err := other.Swap(ctx, s.key, version(1), version(2), record(2)); err != nil {
		s.Errorf("Swap while someone else holds the lease: %v", err)
	}
	s.holds(ctx, s.store, version(2), record(2))
	s.release(lease)
	s.swap(ctx, version(2), version(3), record(3))
}

func swapEnded(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), record(1))
	gone, cause := ended(s.Context())
	err := s.store.Swap(gone, s.key, version(1), version(2), record(2))
	s.wantCause("Swap", err, cause)
	s.holds(ctx, s.store, version(1), record(1))
}
