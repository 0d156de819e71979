package simulator

// topic is what a conversation is about.
type topic struct {
	label     string
	questions []string // begin the conversation
	details   []string // go on with it
}

var topics = []topic{
	{
		label: "sales",
		questions: []string{
			"Hi! What is the price of the yearly plan?",
			"Hello, is the price per seat or per team?",
			"Do you have a lower price for schools?",
		},
		details: []string{
			"We would be twelve people.",
			"And does that include support?",
			"Can I pay by invoice?",
			"Is there a trial first?",
		},
	},
	{
		label: "opening-hours",
		questions: []string{
			"What are your opening hours on Saturday?",
			"Hi, are your hours the same over the holidays?",
			"Until what time can I call today? I can't find your hours.",
		},
		details: []string{
			"It's the shop on Market Street.",
			"I can only come after work, around six.",
			"And on Sunday?",
		},
	},
	{
		label: "billing",
		questions: []string{
			"I'd like a refund for my last order, please.",
			"I was charged twice this month. Can I get a refund?",
			"My refund hasn't arrived yet 😕",
		},
		details: []string{
			"The order number is 48213.",
			"I paid by card.",
			"It was on the 3rd, I think.",
			"The amount was 49,90 €.",
		},
	},
	{
		label: "delivery",
		questions: []string{
			"Where is my parcel? It should have been here on Tuesday.",
			"Can I still change the delivery address?",
			"Bonjour, livrez-vous aussi à Genève ?",
		},
		details: []string{
			"The tracking page has said \"in transit\" for four days.",
			"It's for Müller, 2nd floor.",
			"Can a neighbour take it?",
		},
	},
	{
		label: "technical",
		questions: []string{
			"I can't log in any more, it says \"invalid code\".",
			"The app crashes when I open settings.",
			"How do I reset my password?",
		},
		details: []string{
			"I tried that already, twice.",
			"It's version 4.2 on Android.",
			"The page says <error 500> & then stays blank.",
			"Same on my laptop.",
		},
	},
}

var farewells = []string{
	"Thanks, that helps!",
	"Perfect, thank you 🙏",
	"Great, thanks for the quick answer. Bye!",
	"OK, thanks. I'll try that.",
}

var names = []string{
	"Ada Okafor", "Ben Carter", "Chloé Martin", "Daniel Weiß", "Elif Yılmaz", "Farid Haddad", "Grace Kim",
	"Hugo Silva", "Ines Rossi", "Jonas Berg", "Kavya Rao", "Liam Walsh", "Mei 陈", "Nora Lindqvist", "Omar Aziz",
	"Petra Novák",
}
