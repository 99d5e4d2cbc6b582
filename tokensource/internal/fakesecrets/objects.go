package fakesecrets

import (
	"slices"

	"github.com/godbus/dbus/v5"
)

// The types below are the objects on the bus; their exported methods are called
// over it, by the names that the Secret Service API gives them. A method that
// wants to know which object was meant takes the message first.

// secret is the API's own form of a secret.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

type service struct{ s *Service }

func (o service) OpenSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	return dbus.MakeVariant(""), root + "/session/s1", nil
}

func (o service) ReadAlias(string) (dbus.ObjectPath, *dbus.Error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if o.s.script.NoCollection {
		return noObject, nil
	}
	return collection, nil
}

func (o service) Unlock(paths []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if o.s.script.NoCollection {
		return []dbus.ObjectPath{}, noObject, nil
	}
	if !o.s.script.Locked {
		return paths, noObject, nil
	}
	if o.s.script.Unlock == NoPrompt {
		return []dbus.ObjectPath{}, noObject, nil
	}
	_, ask := o.s.act(o.s.script.Unlock, func() dbus.Variant {
		o.s.script.Locked = false
		return dbus.MakeVariant(paths)
	})
	return []dbus.ObjectPath{}, ask, nil
}

type keyring struct{ s *Service }

func (o keyring) SearchItems(attributes map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	o.s.wait()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return o.s.find(attributes), nil
}

func (o keyring) CreateItem(props map[string]dbus.Variant, given secret, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	attributes := map[string]string{}
	if err := dbus.Store([]any{props[iface+"Item.Attributes"].Value()}, &attributes); err != nil {
		return noObject, noObject, dbus.MakeFailedError(err)
	}
	o.s.wait()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	result, ask := o.s.act(o.s.script.Create, func() dbus.Variant {
		return dbus.MakeVariant(o.s.store(attributes, string(given.Value), replace))
	})
	path, ok := result.Value().(dbus.ObjectPath)
	if !ok {
		path = noObject
	}
	return path, ask, nil
}

// store obeys the script. The caller holds mu.
func (s *Service) store(attributes map[string]string, value string, replace bool) dbus.ObjectPath {
	if s.script.Drop {
		return noObject
	}
	if s.script.Torn {
		value = ""
	}
	if found := s.find(attributes); replace && len(found) > 0 {
		s.items[found[0]] = Item{attributes, value}
		return found[0]
	}
	path := s.name("/i")
	s.items[path] = Item{attributes, value}
	s.order = append(s.order, path)
	return path
}

type item struct{ s *Service }

func (o item) GetSecret(msg dbus.Message, session dbus.ObjectPath) (secret, *dbus.Error) {
	o.s.wait()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	i, ok := o.s.items[target(msg)]
	if !ok {
		return secret{}, dbus.NewError(iface+"Error.NoSuchObject", nil)
	}
	return secret{session, []byte{}, []byte(i.Secret), "text/plain"}, nil
}

func (o item) Delete(msg dbus.Message) (dbus.ObjectPath, *dbus.Error) {
	path := target(msg)
	o.s.wait()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	_, ask := o.s.act(o.s.script.Delete, func() dbus.Variant {
		delete(o.s.items, path)
		o.s.order = slices.DeleteFunc(o.s.order, func(p dbus.ObjectPath) bool { return p == path })
		return dbus.MakeVariant("")
	})
	return ask, nil
}

type session struct{}

func (session) Close() *dbus.Error { return nil }

type dialog struct{ s *Service }

func (o dialog) Prompt(msg dbus.Message, _ string) *dbus.Error {
	path := target(msg)
	o.s.mu.Lock()
	o.s.shown++
	answer := o.s.prompts[path].answer
	if answer == Ignore {
		o.s.pending = append(o.s.pending, path)
	}
	o.s.mu.Unlock()
	if answer != Ignore {
		o.s.complete(path, answer)
	}
	return nil
}

type properties struct{ s *Service }

func (o properties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	switch {
	case name == "Locked":
		return dbus.MakeVariant(o.s.script.Locked), nil
	case name == "Collections" && o.s.script.NoCollection:
		return dbus.MakeVariant([]dbus.ObjectPath{}), nil
	case name == "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{collection}), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
}

// target is the object that a message is for.
func target(msg dbus.Message) dbus.ObjectPath {
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	return path
}
