package fakesecrets

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

const (
	serviceName = "org.freedesktop.secrets"
	root        = dbus.ObjectPath("/org/freedesktop/secrets")
	collection  = root + "/collection/login"
	noObject    = dbus.ObjectPath("/")
	iface       = "org.freedesktop.Secret."
)

// Answer is what happens to a prompt.
type Answer uint8

// The answers.
const (
	// NoPrompt: there is none. What is locked stays so; the rest just happens.
	NoPrompt Answer = iota
	// Accept: the user agrees.
	Accept
	// Dismiss: the user closes the dialog.
	Dismiss
	// Ignore: nobody answers, until [Service.AnswerAll].
	Ignore
)

// Script is how a service behaves. The zero Script is a keyring that is
// unlocked and works.
type Script struct {
	// Locked: the keyring is locked. An accepted prompt unlocks it.
	Locked bool
	// NoCollection: there is no keyring.
	NoCollection bool
	// Unlock, Create and Delete are the prompts before these.
	Unlock, Create, Delete Answer
	// Drop: what is to be stored is not, and nobody hears of it.
	Drop bool
	// Torn: an item is made, and its secret is not stored, as when a daemon
	// is killed in between.
	Torn bool
	// Hold makes every call on collections and items wait until the channel
	// is closed.
	Hold <-chan struct{}
}

// Item is a stored secret.
type Item struct {
	// Attributes are what it is found by.
	Attributes map[string]string
	// Secret is its value.
	Secret string
}

// Service is a running service. Its methods are safe for concurrent use.
type Service struct {
	conn *dbus.Conn

	mu      sync.Mutex // guards all below; never held across I/O or a wait
	script  Script
	items   map[dbus.ObjectPath]Item
	order   []dbus.ObjectPath // in which items are found
	prompts map[dbus.ObjectPath]prompt
	pending []dbus.ObjectPath // prompts that are shown and not answered
	serial  int
	shown   int
	held    int
}

// prompt is a dialog that was announced to a client.
type prompt struct {
	answer Answer
	do     func() dbus.Variant // what accepting it does; the caller holds mu
}

// Start puts a service on the bus at address.
func Start(address string) (*Service, error) {
	conn, err := dbus.Connect(address)
	if err != nil {
		return nil, err
	}
	s := &Service{conn: conn, items: map[dbus.ObjectPath]Item{}, prompts: map[dbus.ObjectPath]prompt{}}
	for name, object := range map[string]any{
		iface + "Service": service{s}, iface + "Collection": keyring{s}, iface + "Item": item{s},
		iface + "Session": session{}, iface + "Prompt": dialog{s},
		"org.freedesktop.DBus.Properties": properties{s},
	} {
		if err := conn.ExportSubtree(object, root, name); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	reply, err := conn.RequestName(serviceName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("fakesecrets: somebody else is %s", serviceName)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// Close leaves the bus, as a service that is killed does.
func (s *Service) Close() error { return s.conn.Close() }

// Play changes the script.
func (s *Service) Play(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Locked reports whether the keyring is locked now.
func (s *Service) Locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script.Locked
}

// Put stores an item beside those that are there, found before them.
func (s *Service) Put(i Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.name("/i")
	s.items[path] = i
	s.order = slices.Insert(s.order, 0, path)
}

// Items returns what is stored, in the order in which it is found.
func (s *Service) Items() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Item
	for _, path := range s.order {
		i := s.items[path]
		all = append(all, Item{maps.Clone(i.Attributes), i.Secret})
	}
	return all
}

// Reverse makes the items be found in the opposite order, as a restart may.
func (s *Service) Reverse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Reverse(s.order)
}

// Shown returns how many prompts were shown.
func (s *Service) Shown() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// Held returns how many calls were held up, or are.
func (s *Service) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// AnswerAll answers the prompts that are open, and returns how many were.
func (s *Service) AnswerAll(a Answer) int {
	s.mu.Lock()
	open := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, path := range open {
		s.complete(path, a)
	}
	return len(open)
}

// complete answers a prompt that is shown.
func (s *Service) complete(path dbus.ObjectPath, a Answer) {
	result := dbus.MakeVariant([]dbus.ObjectPath{})
	s.mu.Lock()
	if a == Accept {
		result = s.prompts[path].do()
	}
	delete(s.prompts, path)
	s.mu.Unlock()
	// A client that is gone hears nothing.
	_ = s.conn.Emit(path, iface+"Prompt.Completed", a == Dismiss, result)
}

// act does something now or, where the script has a prompt for it, when that is
// accepted. The caller holds mu.
func (s *Service) act(a Answer, do func() dbus.Variant) (result dbus.Variant, ask dbus.ObjectPath) {
	if a == NoPrompt {
		return do(), noObject
	}
	path := s.name("/prompt/p")
	s.prompts[path] = prompt{a, do}
	return dbus.Variant{}, path
}

// name makes a path. The caller holds mu.
func (s *Service) name(prefix string) dbus.ObjectPath {
	s.serial++
	if prefix == "/i" {
		return collection + dbus.ObjectPath(fmt.Sprintf("/i%d", s.serial))
	}
	return root + dbus.ObjectPath(fmt.Sprintf("%s%d", prefix, s.serial))
}

// find returns the items with all these attributes. The caller holds mu.
func (s *Service) find(attributes map[string]string) []dbus.ObjectPath {
	found := []dbus.ObjectPath{}
	for _, path := range s.order {
		has := true
		for name, value := range attributes {
			has = has && s.items[path].Attributes[name] == value
		}
		if has {
			found = append(found, path)
		}
	}
	return found
}

// wait waits while the script holds calls up.
func (s *Service) wait() {
	s.mu.Lock()
	hold := s.script.Hold
	if hold != nil {
		s.held++
	}
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
}
