package event

import "time"

// Status is the state of a conversation.
type Status int

// The states of a conversation, as the account protocol numbers them.
const (
	StatusOpen Status = iota
	StatusResolved
	StatusPending
	StatusSnoozed
)

// Statuses are the names of the states, by number.
var Statuses = []string{"open", "resolved", "pending", "snoozed"}

// String returns the state's name.
func (s Status) String() string { return name(Statuses, int(s)) }

// Priority is how urgent a conversation is.
type Priority int

// The priorities, as the account protocol numbers them.
const (
	PriorityLow Priority = iota
	PriorityMedium
	PriorityHigh
	PriorityUrgent
)

// String returns the priority's name.
func (p Priority) String() string { return name([]string{"low", "medium", "high", "urgent"}, int(p)) }

// MessageType says which way a message goes. It does not tell who wrote it:
// clients send their own messages with type 0 as well. The sender tells.
type MessageType int

// The message types, as the account protocol numbers them.
const (
	MessageIncoming MessageType = iota
	MessageOutgoing
	MessageActivity
	MessageTemplate
)

// String returns the message type's name.
func (t MessageType) String() string {
	return name([]string{"incoming", "outgoing", "activity", "template"}, int(t))
}

func name(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// SenderContact is the sender type of a customer. Others ("User", "AgentBot",
// …) write for the company.
const SenderContact = "Contact"

// Conversation is the data of conversation.new and conversation.updated.
type Conversation struct {
	ID             int64        `json:"id"`
	Status         Status       `json:"status"`
	Priority       Priority     `json:"priority"`
	AssigneeID     *int64       `json:"assignee_id,omitempty"`
	InboxID        int64        `json:"inbox_id"`
	TeamID         *int64       `json:"team_id,omitempty"`
	Contact        Contact      `json:"contact"`
	LastMessage    *LastMessage `json:"last_message,omitempty"`
	UnreadCount    int          `json:"unread_count"`
	CreatedAt      time.Time    `json:"created_at"`
	LastActivityAt time.Time    `json:"last_activity_at"`
	SnoozedUntil   *time.Time   `json:"snoozed_until,omitempty"`
	Labels         []string     `json:"cached_label_list,omitempty"`
}

// Contact is the customer of a conversation.
type Contact struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Email       string `json:"email,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	AvatarURL   string `json:"avatar_url,omitempty"`
}

// LastMessage is the short form of a message inside a conversation.
type LastMessage struct {
	ID          int64       `json:"id"`
	Content     string      `json:"content"`
	MessageType MessageType `json:"message_type"`
	CreatedAt   time.Time   `json:"created_at"`
	SenderType  string      `json:"sender_type"`
	SenderID    *int64      `json:"sender_id,omitempty"`
}

// Message is the data of message.new and message.updated.
type Message struct {
	ID             int64       `json:"id"`
	Content        string      `json:"content"`
	MessageType    MessageType `json:"message_type"`
	ConversationID int64       `json:"conversation_id"`
	SenderType     string      `json:"sender_type"`
	SenderID       *int64      `json:"sender_id,omitempty"`
	CreatedAt      time.Time   `json:"created_at"`
	UpdatedAt      time.Time   `json:"updated_at"`
	Status         string      `json:"status,omitempty"`
}

// FromContact reports whether a customer wrote the message.
func (m Message) FromContact() bool { return m.SenderType == SenderContact }

// Typing is the data of typing.start and typing.stop.
type Typing struct {
	ConversationID int64  `json:"conversation_id"`
	UserID         int64  `json:"user_id"`
	UserName       string `json:"user_name"`
	IsTyping       bool   `json:"is_typing"`
}
