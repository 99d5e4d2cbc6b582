package keyringstore

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// The mark is the highest counter that any process has tried to write to the
// keyring. It lies in the file of the swap lock, is written under that lock
// before each such try, and is read by anyone at any time: the counter, then
// its complement, by which a half-written one shows.
//
// It answers two questions that the keyring cannot be asked. While it does not
// answer: has someone written to it since I last read it? (If the mark is not
// above what I know, nobody has.) And: is a write of someone who gave up, or
// died, perhaps still on its way? (If the mark is above all that is there.)
//
// It is not synced: it only has to outlive processes. Those that remember a
// key are gone after a crash of the machine, and so are writes on their way.
const markSize = 16

// readMark returns 0 where no mark was ever written, and false where what is
// there is none.
func readMark(r io.ReaderAt) (uint64, bool) {
	var b [markSize]byte
	n, err := r.ReadAt(b[:], 0)
	if n == 0 && errors.Is(err, io.EOF) {
		return 0, true
	}
	counter := binary.BigEndian.Uint64(b[:])
	if n < markSize || binary.BigEndian.Uint64(b[8:]) != ^counter {
		return 0, false
	}
	return counter, true
}

func readMarkFile(path string) (uint64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }()
	return readMark(f)
}

func writeMark(w io.WriterAt, counter uint64) error {
	b := binary.BigEndian.AppendUint64(nil, counter)
	b = binary.BigEndian.AppendUint64(b, ^counter)
	_, err := w.WriteAt(b, 0)
	return err
}
