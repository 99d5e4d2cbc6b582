package keyringstore

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// An entry as the keyring keeps it: "v1:" and, in base64 because some keyrings
// keep text alone,
//
//	 0  32  the key K
//	32   8  write counter, big-endian
//	40  16  version of the record; zero where the entry holds none
//	56      the record
const (
	entryPrefix = "v1:"
	entryHead   = 32 + 8 + 16

	// maxEntry is the longest entry, in bytes: 2,560 is what Windows takes,
	// and about 2,900 fit the command line that go-keyring builds on macOS,
	// where a longer one leaves a process behind. So it never sees one.
	maxEntry = 2400
)

var entryEncoding = base64.RawStdEncoding.Strict()

// entry is what the keyring holds for a session. It is immutable.
type entry struct {
	key    sealedfile.Key
	record sealedfile.Record // Version is zero where there is no record
}

func (e *entry) holdsRecord() bool { return e.record.Version != tokensource.Version{} }

// fits tells whether an entry with a record of n bytes is short enough.
func fits(n int) bool {
	return len(entryPrefix)+entryEncoding.EncodedLen(entryHead+n) <= maxEntry
}

func (e *entry) encode() string {
	b := make([]byte, 0, entryHead+len(e.record.Data))
	b = e.key.AppendTo(b)
	b = binary.BigEndian.AppendUint64(b, e.record.Counter)
	b = append(b, e.record.Version[:]...)
	b = append(b, e.record.Data...)
	return entryPrefix + entryEncoding.EncodeToString(b)
}

var laterPrefix = regexp.MustCompile(`^v[1-9][0-9]*:`)

// decodeEntry is the inverse of encode. The empty text, which a daemon killed
// at the wrong moment leaves, is a damaged entry like any other.
func decodeEntry(text string) (*entry, error) {
	rest, ok := strings.CutPrefix(text, entryPrefix)
	if !ok {
		if laterPrefix.MatchString(text) {
			return nil, errNewer
		}
		return nil, ErrCorrupt
	}
	b, err := entryEncoding.DecodeString(rest)
	// Strict as it is, the decoder skips line breaks.
	if err != nil || len(b) < entryHead || strings.ContainsAny(rest, "\r\n") {
		return nil, ErrCorrupt
	}
	key, err := sealedfile.KeyOf(b[:32])
	if err != nil {
		return nil, ErrCorrupt
	}
	e := &entry{key: key, record: sealedfile.Record{
		Counter: binary.BigEndian.Uint64(b[32:]),
		Version: tokensource.Version(b[40:]),
		Data:    b[entryHead:],
	}}
	if e.record.Counter > sealedfile.MaxCounter || (!e.holdsRecord() && len(e.record.Data) > 0) {
		return nil, ErrCorrupt
	}
	return e, nil
}

// highest returns the entry with the highest counter of all that are kept under
// one name; the others are copies of an older state. What is no entry does not
// count beside one that is. One that cannot be understood yet wins, because it
// must not be overwritten.
func highest(texts []string) (*entry, error) {
	var best *entry
	for _, text := range texts {
		e, err := decodeEntry(text)
		if errors.Is(err, errNewer) {
			return nil, err
		}
		if err == nil && (best == nil || e.record.Counter > best.record.Counter) {
			best = e
		}
	}
	if best == nil {
		return nil, ErrCorrupt
	}
	return best, nil
}
