// Package autoresponder is the built-in plugin that answers customers by
// rules: a reply, a status, a mark as read.
//
//	event ─▶ of a customer? ─▶ first rule that matches ─▶ its limits ─▶ its actions ─▶ outbound queue
//	                                                      ▲ │
//	                                                      │ ▼
//	                                                   host's store
//
// # Whom it answers
//
// Customers, and nobody else: an event counts when a contact wrote its message
// and no sender of ours caused it. Itself, other bots and agents are never
// answered, so two of them cannot talk to each other without end. Nor is an
// event that had been missed and is fetched over five minutes late: an answer
// would come out of nowhere.
//
// # Once
//
// An event that is delivered again takes the same actions with the same ids,
// which the bridge does once in 24 hours. The limits are kept in the host's
// store, with the event that used them: that event is not cut by its own limit,
// so a delivery that was interrupted half way is completed. A limit is used
// before the actions are taken; where they then fail for good, it stays used.
//
// An event whose rule is limited is done: the rules after it are not asked.
package autoresponder
