"""Over-admission: could these admissions have kept the policy?"""
