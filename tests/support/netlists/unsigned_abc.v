// Benchmark "mul_unsigned" written by ABC on Fri Nov 27 18:28:39 2026

module mul_unsigned ( 
    \a[0] , \a[1] , \a[2] , \b[0] , \b[1] , \b[2] , \b[3] ,
    \p[0] , \p[1] , \p[2] , \p[3] , \p[4] , \p[5] , \p[6]   );
  input  \a[0] , \a[1] , \a[2] , \b[0] , \b[1] , \b[2] , \b[3] ;
  output \p[0] , \p[1] , \p[2] , \p[3] , \p[4] , \p[5] , \p[6] ;
  wire new_n16_, new_n17_, new_n18_, new_n19_, new_n21_, new_n22_, new_n23_,
    new_n24_, new_n25_, new_n26_, new_n27_, new_n28_, new_n29_, new_n30_,
    new_n31_, new_n32_, new_n34_, new_n35_, new_n36_, new_n37_, new_n38_,
    new_n39_, new_n40_, new_n41_, new_n42_, new_n43_, new_n44_, new_n45_,
    new_n46_, new_n47_, new_n48_, new_n49_, new_n50_, new_n51_, new_n53_,
    new_n54_, new_n55_, new_n56_, new_n57_, new_n58_, new_n59_, new_n60_,
    new_n61_, new_n62_, new_n63_, new_n64_, new_n65_, new_n66_, new_n67_,
    new_n68_, new_n70_, new_n71_, new_n72_, new_n73_, new_n74_, new_n75_,
    new_n76_, new_n78_, new_n79_;
  assign \p[0]  = \a[0]  & \b[0] ;
  assign new_n16_ = \a[1]  & \b[0] ;
  assign new_n17_ = \a[0]  & \b[1] ;
  assign new_n18_ = ~new_n16_ & new_n17_;
  assign new_n19_ = new_n16_ & ~new_n17_;
  assign \p[1]  = new_n18_ | new_n19_;
  assign new_n21_ = \a[1]  & \b[1] ;
  assign new_n22_ = \p[0]  & new_n21_;
  assign new_n23_ = \a[0]  & \b[2] ;
  assign new_n24_ = new_n21_ & ~new_n23_;
  assign new_n25_ = ~new_n21_ & new_n23_;
  assign new_n26_ = ~new_n24_ & ~new_n25_;
  assign new_n27_ = \a[2]  & \b[0] ;
  assign new_n28_ = ~new_n26_ & ~new_n27_;
  assign new_n29_ = new_n26_ & new_n27_;
  assign new_n30_ = ~new_n28_ & ~new_n29_;
  assign new_n31_ = new_n22_ & new_n30_;
  assign new_n32_ = ~new_n22_ & ~new_n30_;
  assign \p[2]  = new_n31_ | new_n32_;
  assign new_n34_ = new_n22_ & ~new_n30_;
  assign new_n35_ = new_n21_ & new_n23_;
  assign new_n36_ = ~new_n26_ & new_n27_;
  assign new_n37_ = ~new_n35_ & ~new_n36_;
  assign new_n38_ = \a[2]  & \b[1] ;
  assign new_n39_ = \a[1]  & \b[2] ;
  assign new_n40_ = \a[0]  & \b[3] ;
  assign new_n41_ = ~new_n39_ & new_n40_;
  assign new_n42_ = new_n39_ & ~new_n40_;
  assign new_n43_ = ~new_n41_ & ~new_n42_;
  assign new_n44_ = new_n38_ & new_n43_;
  assign new_n45_ = ~new_n38_ & ~new_n43_;
  assign new_n46_ = ~new_n44_ & ~new_n45_;
  assign new_n47_ = ~new_n37_ & new_n46_;
  assign new_n48_ = new_n37_ & ~new_n46_;
  assign new_n49_ = ~new_n47_ & ~new_n48_;
  assign new_n50_ = new_n34_ & new_n49_;
  assign new_n51_ = ~new_n34_ & ~new_n49_;
  assign \p[3]  = new_n50_ | new_n51_;
  assign new_n53_ = ~new_n37_ & ~new_n46_;
  assign new_n54_ = new_n34_ & ~new_n49_;
  assign new_n55_ = ~new_n53_ & ~new_n54_;
  assign new_n56_ = \a[1]  & \b[3] ;
  assign new_n57_ = new_n23_ & new_n56_;
  assign new_n58_ = new_n38_ & ~new_n43_;
  assign new_n59_ = ~new_n57_ & ~new_n58_;
  assign new_n60_ = \a[2]  & \b[2] ;
  assign new_n61_ = new_n56_ & ~new_n60_;
  assign new_n62_ = ~new_n56_ & new_n60_;
  assign new_n63_ = ~new_n61_ & ~new_n62_;
  assign new_n64_ = ~new_n59_ & new_n63_;
  assign new_n65_ = new_n59_ & ~new_n63_;
  assign new_n66_ = ~new_n64_ & ~new_n65_;
  assign new_n67_ = ~new_n55_ & new_n66_;
  assign new_n68_ = new_n55_ & ~new_n66_;
  assign \p[4]  = new_n67_ | new_n68_;
  assign new_n70_ = ~new_n59_ & ~new_n63_;
  assign new_n71_ = ~new_n55_ & ~new_n66_;
  assign new_n72_ = ~new_n70_ & ~new_n71_;
  assign new_n73_ = \a[2]  & \b[3] ;
  assign new_n74_ = ~new_n39_ & new_n73_;
  assign new_n75_ = ~new_n72_ & ~new_n74_;
  assign new_n76_ = new_n72_ & new_n74_;
  assign \p[5]  = new_n75_ | new_n76_;
  assign new_n78_ = new_n39_ & new_n73_;
  assign new_n79_ = ~new_n72_ & new_n74_;
  assign \p[6]  = new_n78_ | new_n79_;
endmodule


