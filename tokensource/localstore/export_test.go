package localstore

// ParseChoice reads what a ledger holds.
var ParseChoice = parseChoice
