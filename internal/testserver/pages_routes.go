package testserver

import "net/http"

// pageRoutes registers what people see. Whatever a form does, it does by POST.
func (s *Server) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /ui/style.css", s.asset("style.css"))
	mux.HandleFunc("GET /ui/dashboard.js", s.asset("dashboard.js"))
	mux.HandleFunc("GET "+signInPath, s.page(s.loginPage))
	mux.HandleFunc("POST "+signInPath, s.page(s.loginPage))
	mux.HandleFunc("POST "+signOutPath, s.page(s.signOutPage))
	mux.HandleFunc("POST "+devicesForm, s.page(s.devicesAction))
	mux.HandleFunc("GET "+devicesForm, s.page(s.devicesPage)) // a reload after a form
	mux.HandleFunc("GET "+interactionPath, s.page(s.interactionPage))
	mux.HandleFunc("POST "+interactionPath, s.page(s.interactionAction))
	mux.HandleFunc("GET "+devicePath, s.page(s.devicePage))
	mux.HandleFunc("POST "+devicePath, s.page(s.deviceAction))
	s.logoutRoutes(mux)
	s.dashboardRoutes(mux)
}

// dashboardRoutes registers what the person who runs the server sees.
func (s *Server) dashboardRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) reply{
		"GET " + dashboardPath + "{$}":    s.dashboard,
		"POST " + clockForm:               s.clockAction,
		"POST " + faultsForm:              s.faultsAction,
		"POST " + gatesForm:               s.gatesAction,
		"POST " + scriptsForm:             s.scriptsAction,
		"POST " + serverForm:              s.serverAction,
		"POST " + sessionsForm:            s.sessionsAction,
		"POST " + usersForm:               s.usersAction,
		"GET " + familyPath + "{id}":      s.family,
		"GET " + requestPath + "{number}": s.request,
		"GET " + decoderPath:              s.decoder,
		"POST " + decoderPath:             s.decoder,
		"POST " + profileForm:             s.profileAction,
	} {
		mux.HandleFunc(pattern, s.operator(h))
	}
	mux.Handle("POST "+keyForm, s.guarded(s.keyAction))
	mux.HandleFunc("GET "+livePath, s.live)
}
