"""What a Python program calls: export, snapshots, history."""
