"""What can be bought: windows, quota, features, price."""
