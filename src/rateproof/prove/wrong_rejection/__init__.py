"""Wrong rejections: did any quota have to be full?"""
