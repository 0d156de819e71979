package config

// Draft is a configuration as far as it could be read, with what is wrong with
// it. What others find in it, a plugin in its own section above all, is added,
// so that a user sees everything at once.
type Draft struct {
	// Config is complete only where nothing is wrong.
	Config *Config

	report *report
	files  []string
}

// Examine reads and checks like [Load], and does not end at what is wrong. Its
// error is an [*Error] where a file cannot be read at all, so that nothing can
// be said about the rest.
func Examine(o Options) (*Draft, error) {
	l, err := read(o)
	if err != nil {
		return nil, err
	}
	l.config.validate(scope{config: l.config, report: l.report}, o)
	return &Draft{Config: l.config, report: l.report, files: o.Files}, nil
}

// Sound reports whether nothing is known to be wrong at the path or at what is
// around it.
func (d *Draft) Sound(path ...string) bool {
	for n := len(path); n > 0; n-- {
		if d.report.seen[FormatPath(path[:n])] {
			return false
		}
	}
	return true
}

// Add adds a problem. Only the first one of a place is kept.
func (d *Draft) Add(path []string, message string) {
	d.report.add(d.Config.Position(path...), path, "%s", message)
}

// AddUnknown adds that the key at the path is none of those that are known
// there.
func (d *Draft) AddUnknown(path, known []string) {
	d.report.unknown(d.Config.Position(path...), path, known, func(sibling string) bool {
		_, written := d.Config.origin.find(child(path[:len(path)-1], sibling))
		return written
	})
}

// Err is everything that is wrong, in the order of the files, as an [*Error];
// nil: nothing is.
func (d *Draft) Err() error { return d.report.err(d.files) }
