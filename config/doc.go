// Package config is what a user may write, its loading and its checking.
//
//	defaults < files, later ones win < SWITCHBOARD_… environment < flags
//	                        │
//	     shape: unknown keys, lists, sections, each at file:line:column
//	                        │ merged by key; lists are replaced whole
//	     ${NAME}, ${NAME:-default}, file: — on leaves, after parsing
//	                        │
//	     types: durations and sizes with a unit, numbers, true or false
//	                        │
//	     checks of each part, and of what parts say about each other
//
// [Load] reports everything that is wrong at once, as an [*Error]. What it
// returns without an error is complete and checked, and remembers where each
// value was written ([Config.Position]), for checks that others make later.
//
// # Expansion
//
// A leaf may hold ${NAME}, a variable of the environment, and ${NAME:-default},
// with a default for where it is unset or empty. A leaf that begins with file:
// is replaced by the content of that file, less one trailing newline; the path
// is relative to the file in which it is written, and may hold ${NAME}. $${ is
// a literal ${, and any other $ stays as it is. What an expansion brings in is
// not expanded again.
//
// # Paths
//
// A relative path in a file (data_dir, nats.credentials, the first word of a
// plugin's command, file:) is relative to that file's directory; one that comes
// from elsewhere is relative to the working directory.
//
// # Environment
//
// SWITCHBOARD_NATS__URL sets nats.url: two underscores stand between levels,
// and names are lower-cased (but for those in a plugin's env). Accounts whose
// names have upper case or odd characters can therefore not be set this way.
// Where a list is expected, commas separate its items. A value in a plugin's
// own config is a number or true or false where it reads as one in JSON, and
// text otherwise or in double quotes; a text is taken for a secret. Variables
// that Kubernetes sets for a service named switchboard (SWITCHBOARD_PORT, …) and
// the command line's own are left alone; any other unknown one is an error.
//
// # Secrets
//
// An account's token and a bot's password are kept as they were written and
// read anew each time ([SecretRef]). What an expansion brought into a plugin's config is redacted
// wherever the plugin is shown ([Plugin.Redacted]). No error shows an expanded
// value.
package config
