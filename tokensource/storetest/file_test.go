package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

// file is the smallest store that processes can share: a version and a record
// in a file in the clear. Its zero value keeps the contract.
type file struct {
	dir   string
	locks filelock.Locks

	unlocked   bool // Swap compares and writes without a lock
	inPlace    bool // it writes over the record
	early      bool // it says that a record is safe before it is
	exclusive  bool // the lease is a file, which a crash leaves behind
	polls      bool // Lock asks now and then
	ownProcess bool // the lease is the process's own business
}

func files(how func(*file)) storetest.Config {
	return storetest.Config{Open: func(dir string) (tokensource.Store, error) {
		f := &file{dir: dir}
		how(f)
		return f, nil
	}}
}

func (f *file) path(key tokensource.Key, ext string) string {
	return filepath.Join(f.dir, key.String()[:16]+ext)
}

func (f *file) Load(ctx context.Context, key tokensource.Key) (v tokensource.Version, data []byte, err error) {
	if ctx.Err() != nil {
		return v, nil, context.Cause(ctx)
	}
	raw, err := os.ReadFile(f.path(key, ".record"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(raw) < len(v) {
		return v, nil, tokensource.ErrNotFound
	}
	if err != nil {
		return v, nil, err
	}
	copy(v[:], raw)
	return v, raw[len(v):], nil
}

func (f *file) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if new == (tokensource.Version{}) {
		return errors.New("the zero version")
	}
	if !f.unlocked {
		lock, err := f.locks.Lock(ctx, f.path(key, ".swap"))
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release() }()
	}
	v, _, err := f.Load(ctx, key)
	if err != nil && !errors.Is(err, tokensource.ErrNotFound) {
		return err
	}
	if v != old {
		return tokensource.ErrConflict
	}
	raw := append(bytes.Clone(new[:]), data...)
	if f.early {
		go func() {
			pass(5 * time.Millisecond)
			_ = f.write(key, raw)
		}()
		return nil
	}
	return f.write(key, raw)
}

// pass lets others go ahead, for as long as they need.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

func (f *file) write(key tokensource.Key, raw []byte) error {
	path := f.path(key, ".record")
	if f.unlocked {
		pass(time.Millisecond)
	}
	if !f.inPlace {
		temp := f.path(key, "."+randomName())
		if err := os.WriteFile(temp, raw, 0o600); err != nil {
			return err
		}
		return os.Rename(temp, path)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, first := out.Write(raw[:len(raw)/2])
	pass(3 * time.Millisecond)
	_, second := out.Write(raw[len(raw)/2:])
	return errors.Join(first, second, out.Close())
}

func (f *file) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	path := f.path(key, ".lease")
	if f.ownProcess {
		path += "-of-one" + processName()
	}
	for f.exclusive || f.polls {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		got, err := f.try(path)
		if err == nil {
			return got, nil
		}
		pass(time.Second)
	}
	lock, err := f.locks.Lock(ctx, path)
	if err != nil {
		return nil, err
	}
	return lock, nil
}

func (f *file) try(path string) (tokensource.Lease, error) {
	if f.polls {
		lock, err := f.locks.TryLock(path)
		if err != nil {
			return nil, err
		}
		return lock, nil
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return lease{
		extend:  func(context.Context, time.Duration) error { return nil },
		release: func() error { return errors.Join(out.Close(), os.Remove(path)) },
	}, nil
}
