package main

import (
	"errors"
	"time"
)

// sinceFlag is a moment in the past: how far back, or a time.
type sinceFlag struct{ time.Time }

var errSince = errors.New("write how far back, such as 90s, 30m or 24h, or a time, such as 2026-01-02T15:04:05Z or 15:04")

// Set is pflag's.
func (f *sinceFlag) Set(text string) error {
	now := time.Now()
	if back, err := time.ParseDuration(text); err == nil {
		if back < 0 {
			return errors.New("lies ahead: write it without the minus")
		}
		f.Time = now.Add(-back)
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly, "15:04:05", "15:04"} {
		t, err := time.ParseInLocation(layout, text, time.Local)
		if err != nil {
			continue
		}
		if t.Year() == 0 { // a time of today
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.Local)
		}
		if t.After(now) {
			return errors.New("lies ahead: there is nothing to show yet")
		}
		f.Time = t
		return nil
	}
	return errSince
}

// String is pflag's.
func (f *sinceFlag) String() string {
	if f.IsZero() {
		return ""
	}
	return f.Format(time.RFC3339)
}

// Type is pflag's.
func (f *sinceFlag) Type() string { return "duration|time" }
