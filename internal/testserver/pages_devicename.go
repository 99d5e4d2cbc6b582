package testserver

import (
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// deviceCookie keeps what the user calls this device from one login to the
// next. It is only a proposal on the login page: a session is named after what
// the form says.
const deviceCookie = "authtest_device"

const (
	deviceNameLife = 365 * 24 * time.Hour
	maxDeviceName  = 100 // characters
)

// deviceName reads the name in a login form.
func deviceName(form url.Values) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, form.Get("device"))
	runes := []rune(strings.TrimSpace(name))
	return strings.TrimSpace(string(runes[:min(len(runes), maxDeviceName)]))
}

// rememberDevice keeps the name in the browser, or forgets the one that is
// there. A form that does not ask for a name leaves things as they are.
func (s *Server) rememberDevice(x *exchange) {
	form := x.r.PostForm
	if !form.Has("device") {
		return
	}
	c := &http.Cookie{
		Name: deviceCookie, Path: s.path + "/", HttpOnly: true, MaxAge: -1,
		SameSite: http.SameSiteLaxMode, Secure: s.overTLS(),
	}
	if name := deviceName(form); name != "" && form.Get("remember") != "" {
		c.Value, c.MaxAge = url.QueryEscape(name), int(deviceNameLife/time.Second)
	}
	http.SetCookie(x.w, c)
}

// askDeviceName adds the field to a login page: as it was filled in before, or
// with the name that the browser remembers.
func (s *Server) askDeviceName(x *exchange, d *loginData) {
	d.AskDevice = true
	if form := x.r.PostForm; form.Has("device") {
		d.DeviceName, d.Remember = deviceName(form), form.Get("remember") != ""
		return
	}
	d.Remember = true
	if c, err := x.r.Cookie(deviceCookie); err == nil {
		if name, err := url.QueryUnescape(c.Value); err == nil {
			d.DeviceName = deviceName(url.Values{"device": {name}})
		}
	}
}
