module example.com/first-response

go 1.26

require github.com/switchboard-dev/switchboard v0.0.0

// A plugin elsewhere requires a version, and has no such line.
replace github.com/switchboard-dev/switchboard => ../..
