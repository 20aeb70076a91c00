"""Header honesty: did what the answers say come true?"""
