package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/switchboard-dev/switchboard/config"
)

// setup is what the questions of `init` have found out.
type setup struct {
	wsURL   string
	account string
	// token is a reference: ${NAME} or file:PATH.
	token   string
	plugins []string
	// listen is host:port; empty: nowhere.
	listen string
}

var questions = []question{
	{
		flag: "backend", usage: "the backend's URL, such as https://chat.example.com",
		prompt: "The backend's URL",
		preset: func(*setup) string { return "http://localhost:8000" },
		set:    (*setup).setBackend,
	},
	{
		flag: "account", usage: "the account's id at the backend",
		prompt: "The account's id there",
		preset: func(*setup) string { return "7" },
		set:    (*setup).setAccount,
	},
	{
		flag: "token-from", usage: "where the account's token is: the name of an environment variable, or file:PATH",
		prompt: "Where its token is: the name of an environment variable, or file:PATH (not the token itself)",
		preset: func(s *setup) string { return config.TokenVariable(s.account) },
		set:    (*setup).setToken,
	},
	{
		flag: "plugins", usage: "built-in plugins with commas between them, or none",
		prompt: "Plugins, with commas between them: autoresponder (answers by rules), slack (posts to a channel), webhook (posts to a URL), or none",
		preset: func(*setup) string { return none },
		set:    (*setup).setPlugins,
	},
	{
		flag: "health", usage: "host:port for /healthz and /readyz, or none",
		prompt: "Where to answer health checks (/healthz, /readyz): host:port such as 127.0.0.1:8080, or none",
		preset: func(*setup) string { return none },
		set:    (*setup).setHealth,
	},
}

// socketScheme is the scheme of the socket, by the backend's.
var socketScheme = map[string]string{"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

func (s *setup) setBackend(text string) error {
	u, err := url.Parse(text)
	switch {
	case !strings.Contains(text, "://"):
		return errors.New("is not a whole URL: write it with its scheme, as in https://chat.example.com or http://localhost:8000")
	case err != nil || u.Hostname() == "" || socketScheme[strings.ToLower(u.Scheme)] == "":
		return errors.New("is not the URL of a backend: write http://, https://, ws:// or wss:// and its host, as in https://chat.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("has more in it than a host and a path: leave out user, password, ? and #")
	}
	u.Scheme = socketScheme[strings.ToLower(u.Scheme)]
	s.wsURL = strings.TrimRight(u.String(), "/")
	return nil
}

func (s *setup) setAccount(text string) error {
	if text == "" || len(text) > 128 || strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("is not an account's id: write what the backend calls it, such as 7")
	}
	s.account = text
	return nil
}

var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

func (s *setup) setToken(text string) error {
	path, isFile := strings.CutPrefix(text, "file:")
	switch {
	case isFile && path != "", strings.Contains(text, "/") && !strings.ContainsAny(text, " \t"):
		s.token = "file:" + path
	case strings.HasPrefix(text, "SWITCHBOARD_"):
		return errors.New("begins with SWITCHBOARD_, which is for settings: give the variable another name")
	case variableName.MatchString(text):
		s.token = "${" + text + "}"
	default:
		return errors.New("names no variable (capital letters, digits and _) and no file (file:PATH); the token itself does not go into the configuration")
	}
	return nil
}

func (s *setup) setPlugins(text string) error {
	s.plugins = nil
	if text == none || text == "" {
		return nil
	}
	known := names(builtinPlugins)
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			return fmt.Errorf("has %q in it, which is no built-in plugin: %s", plain(name), config.Hint(name, known))
		}
		if !slices.Contains(s.plugins, name) {
			s.plugins = append(s.plugins, name)
		}
	}
	return nil
}

func (s *setup) setHealth(text string) error {
	if text == none || text == "" {
		s.listen = ""
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("is not host:port: write, for example, 127.0.0.1:8080, or none")
	}
	s.listen = text
	return nil
}
