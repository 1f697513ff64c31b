"""Passwords that everybody tries first, in lower case and without spaces.

Of those that lists of leaked passwords have at the top, the ones that are long enough to be asked for: at least 8
characters, and at least 15 for people without a second factor. Repetitions of few characters are found by a rule.
"""

_SHORT = """
    0123456789 01234567 09876543 0987654321 11223344 1122334455 12341234 123123123 1234567890 12345678 123456789
    1234qwer 123qweasd 12qwaszx 147258369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 87654321 963852741 987654321
    9876543210 abc12345 abcd1234 abcde12345 abcdefgh abcdefghi access14 admin123 admin1234 administrator alexander
    america1 asdf1234 asdfasdf asdfghjk asdfghjkl asdfghjkl1 babygirl babygirl1 baseball baseball1 basketball
    benjamin bigdaddy blink182 brooklyn butterfly caroline changeme changeme1 changeme123 charlie1 charlotte
    chelsea1 chocolate christian computer computer1 corvette daniel123 default1 dolphins dragon123 elephant
    elizabeth facebook firebird football football1 freedom1 friends1 garfield gateway1 godisgood guitar123 hello123
    hello1234 helloworld iloveyou iloveyou1 iloveyou2 internet jennifer jessica1 jonathan jordan23 justin123
    justinbieber killer123 letmein1 letmein123 liverpool liverpool1 login123 lovelove manchester marlboro master123
    mercedes metallica michael1 michelle midnight monkey123 mountain mustang1 naruto123 nicholas p@ssw0rd p@ssw0rd1
    p@ssword p@ssword1 passport passw0rd passw0rd1 password password! password0 password1 password1! password12
    password123 password1234 password2 pokemon1 pokemon123 princess princess1 q1w2e3r4 q1w2e3r4t5 qazwsx123
    qazwsxedc qwer1234 qwerty12 qwerty123 qwerty1234 qwerty12345 qwertyui qwertyuiop remember robert123 rockstar1
    samantha samsung1 scorpion secret123 september shadow123 slipknot snickers soccer123 spiderman spiderman1
    spongebob starwars starwars1 steelers sunflower sunshine sunshine1 superman superman1 superstar swordfish
    tennis123 test1234 testtest testing1 testing123 thunder1 tinkerbell trustno1 user1234 valentine victoria
    volleyball welcome1 welcome12 welcome123 welcome2024 welcome2025 welcome2026 whatever whatever1 william1
    winter2024 winter2025 winter2026 summer2024 summer2025 summer2026 yankees1 zaq12wsx zaq1zaq1 zxcvbnm1 zxcvbnm123
"""
_LONG = """
    123456789012345 1234567890123456 abcdefghijklmno abcdefghijklmnop administrator123 changemechangeme
    correcthorsebatterystaple iloveyouiloveyou letmeinletmein123 passwordpassword password12345678 password123456789
    qwertyuiopasdfgh qwertyuiopasdfghjkl qwertyuiop123456 thisisapassword thisismypassword trustno1trustno1
    welcomewelcome1 welcome123456789
"""

COMMON_PASSWORDS = frozenset((_SHORT + _LONG).split())
