"""What an account may use now: the features that its subscriptions grant, what it has used, and the decision."""
