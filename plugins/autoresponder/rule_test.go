package autoresponder

import "testing"

func TestKeywords(t *testing.T) {
	tests := []struct {
		name    string
		words   []string
		content string
		want    bool
	}{
		{"none ask for nothing", nil, "hello", true},
		{"a word alone", []string{"refund"}, "refund", true},
		{"a word among others", []string{"refund"}, "I want a refund, please", true},
		{"in any case", []string{"Refund"}, "REFUND!", true},
		{"not within a word", []string{"fun"}, "refund", false},
		{"not at the beginning of a word", []string{"refund"}, "refundable", false},
		{"not beside an underscore", []string{"refund"}, "refund_id", false},
		{"any of several", []string{"refund", "money back"}, "give me my money  back", true},
		{"a phrase over two lines", []string{"money back"}, "money\nback", true},
		{"not a phrase in pieces", []string{"money back"}, "money is back", false},
		{"letters beyond ASCII", []string{"öffnungszeiten"}, "Eure ÖFFNUNGSZEITEN?", true},
		{"not within a word beyond ASCII", []string{"zeit"}, "zeitüber", false},
		{"what would be an expression is not one", []string{"c++ (new)"}, "about C++ (new)", true},
		{"a dot is a dot", []string{"a.b"}, "axb", false},
		{"one beside another", []string{"yes"}, "yesyes yes", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rule{events: answerable, keywords: keywords(tt.words)}
			if got := r.meets("message.new", tt.content); got != tt.want {
				t.Errorf("meets = %t", got)
			}
		})
	}
}
