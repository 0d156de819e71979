package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

var bareNumber = regexp.MustCompile(`^[+-]?\d+(\.\d+)?$`)

// parse reads a single value of the type. shown is how it may appear in an
// error: in quotes, or redacted.
func parse(text, shown string, t reflect.Type) (any, error) {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return parseDuration(text, shown)
	case t == reflect.TypeFor[Bytes]():
		var size Bytes
		if size.UnmarshalText([]byte(text)) != nil {
			return nil, fmt.Errorf("%s %w", shown, errNotSize)
		}
		return size, nil
	case t.Kind() == reflect.Bool:
		if v := strings.ToLower(text); v == "true" || v == "false" {
			return v == "true", nil
		}
		return nil, fmt.Errorf("%s is neither true nor false: write one of them", shown)
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		n, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number: write one in digits, such as 5", shown)
		}
		return n, nil
	case t.Kind() == reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("%s is not a number: write one in digits, such as 10 or 0.5", shown)
		}
		return n, nil
	}
	return text, nil
}

func parseDuration(text, shown string) (time.Duration, error) {
	if bareNumber.MatchString(text) {
		if shown == secret.Redacted {
			text = "30"
		}
		return 0, fmt.Errorf("a duration needs a unit: write %ss, not %[1]s", text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration: write it in h, m, s or ms, such as 72h or 1m30s", shown)
	}
	return d, nil
}
