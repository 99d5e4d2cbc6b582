package mutation_test

// mutation is a change of one place of the code, and the tests that have to
// turn red with it.
type mutation struct {
	rule int
	what string // what is taken out
	file string
	old  string // must be in the file exactly once
	new  string
	test string // -run
}

// The packages whose tests are run. Rule 8 is about the wire, which the
// simulation has none of.
const (
	session = "tokensource/"
	wire    = "client/wire.go"
)

var mutations = []mutation{
	{3, "a rejection of an old token is looked into", session + "session.go",
		"	if cur != nil && cur.token.ID() != rejected.ID() && cur.usable(now) {\n		return cur.token, nil\n	}\n", "",
		"RejectionOf/differing"},
	{3, "tokens are told apart by their text", session + "session.go",
		"cur.token.ID() != rejected.ID() && cur.usable(now)", "cur.token.AccessToken().Reveal() != rejected.AccessToken().Reveal() && cur.usable(now)",
		"RejectionOf/same-text"},
	{3, "a rejection of the current token is not believed", session + "reject.go", "	cur.rejected.Store(true)\n", "", "RejectionOf/differing"},
	{3, "no cool-down", session + "reject.go", "if st.streak >= 2 && !st.until.passed(now) {", "if false {", "NoStorm"},

	{5, "no lock", session + "flight.go",
		"lease, err := f.s.cfg.Store.Lock(ctx, f.s.cfg.Key)", "lease, err := NewMemoryStore().Lock(ctx, f.s.cfg.Key)", "Nothing/strict-revoking"},
	{5, "what another process saved is not adopted", session + "flight.go",
		"if now := time.Now(); !cur.fresh(now) {", "if now := time.Now(); f.lease != nil || !cur.fresh(now) {", "Nothing/strict-revoking"},
	{5, "an older record is adopted", session + "flight.go", "if cur != nil && cur.rec.descends(f.rec) {", "if false {", "Backup/strict-revoking"},

	{6, "no mark", session + "spend.go", "	if err := f.mark(ctx); err != nil {\n		return Token{}, err\n	}\n", "", "Nothing/last-wins"},
	{6, "a mark is not heeded", session + "spend.go", "	if err := f.heedMark(ctx); err != nil {\n		return Token{}, err\n	}\n", "", "Nothing/last-wins"},
	{6, "a mark ends at once", session + "spend.go", "Until: milli(until)}", "Until: milli(until.Add(-flightBudget))}", "Nothing/last-wins"},

	{7, "a lost lease stops nothing", session + "spend.go",
		"if err := f.lease.Extend(ctx, f.cover(attempt)); err != nil {", "if err := f.lease.Extend(ctx, f.cover(attempt)); false && err != nil {", "Lease/same-successor"},
	{7, "the lease ends before the attempt", session + "spend.go", "	return attempt + sendMargin\n", "	return time.Second\n", "Lease/strict-revoking"},

	{8, "connections are used again", wire, "	t.DisableKeepAlives = true\n", "", "^TestARefreshIsOnePlainPOST$"},
	{8, "HTTP/2 may send again", wire, "	t.Protocols.SetHTTP1(true)\n", "	t.Protocols.SetHTTP1(true)\n	t.Protocols.SetHTTP2(true)\n", "^TestTheTransportOfTheProgramIsUsedAndLeftAlone$"},
	{8, "what is over is sent all the same", wire, "	if b.ended() != nil && b.shut() {\n		return 0, errShut\n	}\n", "", "^TestAContextThatEndsWhileTheHeaderIsWrittenKeepsTheTokenHere$"},
	{8, "whatever was not answered counts as sent", wire, "	sent = !body.shut()\n", "	sent = true\n", "^TestWithoutAConnectionNothingIsSent$"},
	{8, "redirects are followed", wire, "resp, err := w.transportFor(req.Context()).RoundTrip(req)",
		"resp, err := (&http.Client{Transport: w.transportFor(req.Context())}).Do(req)", "^TestARedirectIsNotFollowed$"},

	{9, "a lost answer is not asked for again", session + "spend.go", "case e.Reason == ReasonLost && lost+1 < maxLost:", "case false:", "Command/same-for-3s"},
	{9, "what was not sent is not tried again", session + "spend.go", "case e.Reason == ReasonNotSent && unsent+1 < maxUnsent:", "case false:", "Command/strict-revoking"},
	{9, "an attempt lasts as long as the refresh", session + "spend.go", "		left = min(left, 10*time.Second, grace/3)\n", "		_ = grace\n", "Command/same-successor"},

	{10, "a token is seen before it is saved", session + "save.go",
		"		err := f.write(ctx, child.over(f.rec))", "		f.s.publish(f.epoch, child.over(f.rec))\n		err := f.write(ctx, child.over(f.rec))", "RejectionOf/differing"},
	{10, "a suspicion keeps a child from being saved", session + "lineage.go",
		"	case stored.refreshHash() == child.parent:", "	case stored.suspected():\n		return ruleYield, \"\"\n	case stored.refreshHash() == child.parent:", "Lease/strict-rejecting"},
	{10, "a changed version keeps a child from being saved", session + "save.go",
		"		if loadErr := f.load(ctx); loadErr != nil {", "		if errors.Is(err, ErrConflict) {\n			return Token{}, errLookAgain\n		}\n		if loadErr := f.load(ctx); loadErr != nil {",
		"Lease/strict-rejecting"},
	{10, "a look that fails leaves no record", session + "flight.go", "	if err == nil {\n		f.ver, f.rec = ver, rec\n	}\n	return err\n", "	f.ver, f.rec = ver, rec\n	return err\n", "Nothing/strict-revoking"},

	{11, "what cannot be saved is dropped", session + "save.go", "return f.keepUnsaved(child, err)", "return Token{}, err", "Nothing/strict-revoking"},
	{11, "the lock is not kept", session + "save.go", "	f.lease = nil\n	go func", "	go func", "Nothing/strict-revoking"},
	{11, "the lease runs out while a save fails", session + "save.go", "		f.hold(ctx)\n		if pauseFor", "		if pauseFor", "Lease/same-for-3s"},
	{11, "a save is given up", session + "save.go", "		if err == nil || errors.Is(err, errLookAgain) {\n			break", "		if true {\n			_ = err\n			break", "Nothing/strict-revoking"},
	{11, "Close does not wait for a save", session + "session.go", "if saver != nil {", "if false && saver != nil {", "Nothing/strict-revoking"},

	{12, "a refusal is believed without a second look", session + "refused.go",
		"	if err := f.load(ctx); err != nil {\n		return err\n	}\n	if f.rec == nil", "	if f.rec == nil", "LogoutWins/strict-revoking"},
	{12, "one refusal is the end", session + "refused.go", "maxSuspicions = 2 ", "maxSuspicions = 1 ", "BelievedAtOnce/strict-revoking"},
	{12, "a refused token is presented again", session + "flight.go",
		"case rec.suspected() && (rec.suspect.Count >= maxSuspicions || cur.usable(now)):", "case false:", "Nothing/strict-revoking"},
	{12, "a young token is given no time", session + "refused.go", "!f.lagTested && now.Sub(", "false && now.Sub(", "Replica/strict-revoking"},
	{12, "a refusal ends the record", session + "refused.go", "	_ = f.tell(next)\n	return e\n", "	_ = f.tell(f.rec.end(e.Reason))\n	return e\n", "Nothing/strict-revoking"},

	{13, "a refresh is saved over a logout", session + "lineage.go",
		"case stored == nil || stored.ended != reasonUnset || stored.id", "case stored == nil || stored.id", "LogoutWins/strict-revoking"},
	{13, "what a refresh brings after another login is not discarded", session + "lineage.go", " || stored.id.Family != child.id.Family:", ":", "ALogoutAndALogin/strict-revoking"},
	{13, "what comes after a logout is not revoked", session + "save.go", "			f.revoke(child.grant)\n", "", "LogoutWins/strict-revoking"},
	{13, "a logout leaves no record", session + "login.go", "return stored.end(ReasonLoggedOut)", "return nil", "LogoutWins/strict-revoking"},
	{13, "every login is of the same family", session + "mint.go", "	_, _ = rand.Read(family[:]) // never fails\n", "	_ = rand.Read\n", "LoginWins/strict-revoking"},
	{13, "the account is not compared", session + "normalize.go", "g.Subject != old.Subject {", "false {", "AnotherAccount/strict-revoking"},
}
