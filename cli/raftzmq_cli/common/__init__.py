"""What the commands of all groups share: how they are declared, and how they answer and end."""
